"""The options of conversion."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from wsol.errors import ConfigError
from wsol.formats.options import check_formats
from wsol.options import Fraction, FractionBelowOne, Name, NotEmpty, Options


@dataclass(frozen=True)
class ConvertConfig(Options):
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
    format: Annotated[tuple[Name, ...], NotEmpty()]
    out: Path | None = None
    images: Path | None = None
    min_score: Fraction = 0.0
    val_fraction: FractionBelowOne = 0.1
    copy_images: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot work before anything is read."""
        super().__post_init__()
        check_formats(self)
        if self.images is not None and not self.images.is_dir():
            raise ConfigError(f"{self.images}: no such folder of pictures")
