"""Options of the report."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from wsol.data.images import MAX_PIXELS
from wsol.options import MaxPixels, Options, PositiveInt, Range

MAX_IMAGES = 5_000
"""Default of the number of images in a report at most."""

SIDE = 640
"""Default of the longest side of the image copies in pixels."""


@dataclass(frozen=True)
class ReportConfig(Options):
    """Options of the report.

    Args:
        predictions: output folder of wsol predict.
        out: output folder; default: report in the folder of the predictions. An existing report is
            replaced when the new one is complete, any other content is refused.
        boxes: ground-truth boxes to show next to the predicted ones: CSV, COCO JSON, or a folder of
            Pascal VOC or YOLO files.
        images: folder of the images, if they have been moved since the prediction.
        max_images: number of images in the report at most, spread evenly over all.
        side: longest side of the image copies in pixels.
        max_pixels: pixel limit of an image; larger images are not shown.
    """

    predictions: Path
    out: Path | None = None
    boxes: Path | None = None
    images: Path | None = None
    max_images: PositiveInt = MAX_IMAGES
    side: Annotated[int, Range(at_least=1, at_most=16_384)] = SIDE
    max_pixels: MaxPixels = MAX_PIXELS
