"""Options of the report."""

from dataclasses import dataclass
from pathlib import Path

from wsol.data.decode import MAX_PIXELS
from wsol.errors import ConfigError
from wsol.review.report import PICTURES, SIDE


@dataclass(frozen=True)
class ReportConfig:
    """Options of the report.

    Args:
        predictions: folder that wsol predict has written.
        out: folder to write; default: report in that folder. An earlier report is replaced.
        boxes: ground-truth boxes: CSV, COCO JSON, or a folder of Pascal VOC or YOLO, to show
            beside the predicted ones.
        images: folder of the pictures, where they have been moved since.
        pictures: to show at most, spread evenly over all.
        side: longest side of the photographs' copies in pixels.
        max_pixels: larger photographs are not shown.
    """

    predictions: Path
    out: Path | None = None
    boxes: Path | None = None
    images: Path | None = None
    pictures: int = PICTURES
    side: int = SIDE
    max_pixels: int = MAX_PIXELS

    def __post_init__(self) -> None:
        """Check what is independent of files."""
        for name in ("pictures", "side", "max_pixels"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}: it must be at least 1")
