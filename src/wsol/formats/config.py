"""Formats and their options, as the commands that write formats have them."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

from wsol.errors import ConfigError
from wsol.formats import OPTIONS, check_format
from wsol.options import Fraction, FractionBelowOne, Name, NotEmpty, Options, no_effect


def check_formats(config: Options) -> None:
    """Refuse formats that there are not, and options that none of the formats has.

    Args:
        config: options of a command; ``format`` has the names.

    Raises:
        ConfigError: no such format, or an option without effect.
    """
    names = vars(config)["format"]
    for name in names:
        check_format(name)
    own = {option for name in names for option in OPTIONS.get(name, ())}
    for field in fields(config):
        value = vars(config)[field.name]
        if field.name in format_options(config).keys() - own and value != field.default:
            formats = " and ".join(names) or "none"
            raise no_effect(field.name, value, f"with format {formats}")


def format_options(config: Options) -> dict[str, Any]:
    """Return the options of all formats, by name, as ``create_writer`` takes them.

    Args:
        config: options of a command.
    """
    return {name: vars(config)[name] for names in OPTIONS.values() for name in names}


@dataclass(frozen=True)
class ConvertConfig(Options):
    """Options of conversion.

    Args:
        predictions: the folder that wsol predict wrote.
        format: formats to write; wsol list formats shows them.
        out: folder to write; default: that of the predictions.
        images: folder of the images, where they have been moved since.
        min_score: boxes below are left out; their images are not.
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
            raise ConfigError(f"{self.images}: no such folder of images")
