"""Options of the report."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from wsol.data.images import MAX_PIXELS
from wsol.options import MaxPixels, Options, PositiveInt, Range

MAX_IMAGES = 5_000
"""Shown at most, where nothing else is asked for."""

SIDE = 640
"""Longest side of a photograph's copy in pixels."""


@dataclass(frozen=True)
class ReportConfig(Options):
    """Options of the report.

    Args:
        predictions: folder that wsol predict has written.
        out: folder to write; default: report in that folder. An earlier report is replaced.
        boxes: ground-truth boxes: CSV, COCO JSON, or a folder of Pascal VOC or YOLO, to show
            beside the predicted ones.
        images: folder of the images, where they have been moved since.
        max_images: to show at most, spread evenly over all.
        side: longest side of the photographs' copies in pixels.
        max_pixels: larger photographs are not shown.
    """

    predictions: Path
    out: Path | None = None
    boxes: Path | None = None
    images: Path | None = None
    max_images: PositiveInt = MAX_IMAGES
    side: Annotated[int, Range(at_least=1, at_most=16_384)] = SIDE
    max_pixels: MaxPixels = MAX_PIXELS
