"""The options of conversion."""

from dataclasses import dataclass
from pathlib import Path

from wsol.errors import ConfigError
from wsol.formats import check_format, list_formats


@dataclass(frozen=True)
class ConvertConfig:
    """Options of conversion.

    Args:
        predictions: the folder that wsol predict wrote.
        format: formats to write; wsol list formats shows them.
        out: folder to write; default: that of the predictions.
        images: folder of the pictures, where they have been moved since.
        min_score: boxes below are left out; their pictures are not.
        val_fraction: share of the images with boxes that yolo lists for validation instead of
            training; 0 lists all for both.
        copy_images: let yolo copy images instead of linking to them.
    """

    predictions: Path
    format: tuple[str, ...]
    out: Path | None = None
    images: Path | None = None
    min_score: float = 0.0
    val_fraction: float = 0.1
    copy_images: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot work before anything is read."""
        if not self.format:
            raise ConfigError(f"format is empty: choose from: {', '.join(list_formats())}")
        for name in self.format:
            check_format(name)
        if not 0 <= self.min_score <= 1:
            raise ConfigError(f"min_score is {self.min_score}: it must be in [0, 1]")
        if not 0 <= self.val_fraction < 1:
            raise ConfigError(f"val_fraction is {self.val_fraction}: it must be in [0, 1)")
        if self.images is not None and not self.images.is_dir():
            raise ConfigError(f"{self.images}: no such folder of pictures")
