"""Writers of prediction formats, with one class per format."""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from wsol.errors import ConfigError, did_you_mean
from wsol.results.localization import Localization, PredictionInfo

__all__ = [
    "FORMATS",
    "LINKING",
    "PredictionInfo",
    "Writer",
    "check_format",
    "create_writer",
    "list_formats",
]

FORMATS = {
    "coco": "wsol.formats.coco:CocoWriter",
    "csv": "wsol.formats.tables:CsvWriter",
    "cvat": "wsol.formats.xml:CvatWriter",
    "heatmaps": "wsol.formats.images:HeatMapsWriter",
    "labelstudio": "wsol.formats.label_studio:LabelStudioWriter",
    "masks": "wsol.formats.images:MasksWriter",
    "parquet": "wsol.formats.tables:ParquetWriter",
    "voc": "wsol.formats.xml:VocWriter",
    "yolo": "wsol.formats.yolo:YoloWriter",
}
"""``module:class`` of each format."""

LINKING = {"yolo"}
"""Formats that link to the images, which must be local files."""

OPTIONS = {"yolo": ("val_fraction", "copy_images")}
"""Names of the options of each format that has any."""


class Writer(Protocol):
    """Protocol of writers, which get the localizations one by one."""

    def add(self, result: Localization) -> None:
        """Add one image's rows."""

    def close(self) -> None:
        """Finish the files."""


def list_formats() -> list[str]:
    """Return the names of all formats.

    >>> "coco" in list_formats()
    True
    """
    return sorted(FORMATS)


def check_format(name: str) -> None:
    """Raise an error if a format is unknown.

    Args:
        name: name of the format; ``wsol list formats`` shows them.

    Raises:
        ConfigError: the format is unknown; the message suggests the closest one.

    >>> check_format("coco")
    """
    if name not in FORMATS:
        raise ConfigError(f"format: {name!r} is not valid; {did_you_mean(name, FORMATS)}")


def create_writer(
    name: str, folder: Path, info: PredictionInfo, options: Mapping[str, Any] | None = None
) -> Writer:
    """Create the writer of a format.

    Args:
        name: name of the format.
        folder: existing output folder.
        info: information on the prediction.
        options: options of all formats by name; each format uses those in ``OPTIONS``.

    Raises:
        ConfigError: the format is unknown.

    >>> type(create_writer("coco", Path("."), PredictionInfo(("cat",), Path("."), 0.2))).__name__
    'CocoWriter'
    """
    check_format(name)
    module, _, attribute = FORMATS[name].partition(":")
    own = {key: value for key, value in (options or {}).items() if key in OPTIONS.get(name, ())}
    writer: Writer = getattr(import_module(module), attribute)(folder, info, **own)
    return writer
