"""Writers of predictions, one file each."""

from importlib import import_module
from pathlib import Path
from typing import Protocol

from wsol.errors import ConfigError, did_you_mean
from wsol.localization import Localization

__all__ = ["FORMATS", "Writer", "create_writer", "list_formats"]

FORMATS = {
    "coco": "wsol.formats.coco:CocoWriter",
}
"""Name to ``module:class``."""


class Writer(Protocol):
    """Takes localizations one by one."""

    def add(self, result: Localization) -> None:
        """Add one picture's rows."""

    def close(self) -> None:
        """Finish the files."""


def list_formats() -> list[str]:
    """Return the names of all formats.

    >>> "coco" in list_formats()
    True
    """
    return sorted(FORMATS)


def create_writer(name: str, folder: Path, classes: tuple[str, ...]) -> Writer:
    """Return a writer of a format.

    Args:
        name: of the format; ``wsol list formats`` shows them.
        folder: to write to; it exists.
        classes: names, in the order of the network's logits.

    Raises:
        ConfigError: no such format; names the nearest one.

    >>> type(create_writer("coco", Path("."), ("cat", "dog"))).__name__
    'CocoWriter'
    """
    if name not in FORMATS:
        raise ConfigError(f"no format {name!r}: {did_you_mean(name, FORMATS)}")
    module, _, attribute = FORMATS[name].partition(":")
    writer: Writer = getattr(import_module(module), attribute)(folder, classes)
    return writer
