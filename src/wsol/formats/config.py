"""Options of conversion, and checks of the format options of all commands."""

from dataclasses import KW_ONLY, dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any

from wsol.errors import ConfigError
from wsol.formats import OPTIONS, check_format
from wsol.options import NOT_EMPTY, Fraction, FractionBelowOne, Name, Options, no_effect


def check_formats(config: Options) -> None:
    """Refuse unknown formats, and options that none of the chosen formats has.

    Raises:
        ConfigError: a format is unknown, or an option has no effect.
    """
    names = vars(config)["format"]
    for name in names:
        check_format(name)
    own = {option for name in names for option in OPTIONS.get(name, ())}
    for option in fields(config):
        value = vars(config)[option.name]
        if option.name in format_options(config).keys() - own and value != option.default:
            formats = " and ".join(names) or "none"
            raise no_effect(option.name, value, f"with format {formats}")


def format_options(config: Options) -> dict[str, Any]:
    """Return the options of all formats by name, for ``create_writer``."""
    return {name: vars(config)[name] for names in OPTIONS.values() for name in names}


@dataclass(frozen=True, kw_only=True)
class FormatOptions(Options):
    """Options of the formats that a command writes.

    Args:
        format: formats to write; wsol list formats shows them.
        val_fraction: fraction of the images with boxes that yolo lists for validation instead of
            training; 0 lists all images for both.
        copy_images: copy the images into the yolo folder instead of linking to them.
    """

    format: tuple[Name, ...] = ("coco",)
    val_fraction: FractionBelowOne = 0.1
    copy_images: bool = False

    def __post_init__(self) -> None:
        """Validate the options before anything is read."""
        super().__post_init__()
        check_formats(self)


@dataclass(frozen=True)
class ConvertConfig(FormatOptions):
    """Options of conversion.

    Args:
        predictions: output folder of wsol predict.
        out: output folder; default: the folder of the predictions.
        images: folder of the images, if they have been moved since the prediction.
        min_score: minimum score of a box; boxes with a lower score are left out, their images are
            kept, with status no_object if no box remains.
    """

    predictions: Path
    _: KW_ONLY
    format: Annotated[tuple[Name, ...], NOT_EMPTY] = field()
    out: Path | None = None
    images: Path | None = None
    min_score: Fraction = 0.0

    def __post_init__(self) -> None:
        """Validate the options before anything is read."""
        super().__post_init__()
        if self.images is not None and not self.images.is_dir():
            raise ConfigError(f"{self.images}: no such folder; set --images to the image folder")
