"""Writers of predictions, one file each."""

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
    "cvat": "wsol.formats.cvat:CvatWriter",
    "heatmaps": "wsol.formats.images:HeatMapsWriter",
    "labelstudio": "wsol.formats.label_studio:LabelStudioWriter",
    "masks": "wsol.formats.images:MasksWriter",
    "parquet": "wsol.formats.tables:ParquetWriter",
    "voc": "wsol.formats.voc:VocWriter",
    "yolo": "wsol.formats.yolo:YoloWriter",
}
"""Name to ``module:class``."""

LINKING = {"yolo"}
"""Formats that link to the images, which must be files here."""

OPTIONS = {"yolo": ("val_fraction", "copy_images")}
"""Formats that have options to their names."""


class Writer(Protocol):
    """Takes localizations one by one."""

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
    """Refuse a format that there is not.

    Args:
        name: of the format; ``wsol list formats`` shows them.

    Raises:
        ConfigError: no such format; names the nearest one.

    >>> check_format("coco")
    """
    if name not in FORMATS:
        raise ConfigError(f"no format {name!r}: {did_you_mean(name, FORMATS)}")


def create_writer(
    name: str, folder: Path, info: PredictionInfo, options: Mapping[str, Any] | None = None
) -> Writer:
    """Return a writer of a format.

    Args:
        name: of the format.
        folder: to write to; it exists.
        info: what all localizations have in common.
        options: values by name, for any format; one takes those of its own (``OPTIONS``).

    Raises:
        ConfigError: no such format.

    >>> type(create_writer("coco", Path("."), PredictionInfo(("cat",), Path("."), 0.2))).__name__
    'CocoWriter'
    """
    check_format(name)
    module, _, attribute = FORMATS[name].partition(":")
    own = {key: value for key, value in (options or {}).items() if key in OPTIONS.get(name, ())}
    writer: Writer = getattr(import_module(module), attribute)(folder, info, **own)
    return writer
