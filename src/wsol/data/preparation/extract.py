"""Writing members to disk: each file whole or not there, and only where there is room."""

import os
import shutil
from pathlib import Path
from typing import Final

from wsol.errors import DataError

_MARGIN: Final = 1.03
"""Room for what file systems add to many small files."""


def write_member(path: Path, content: bytes) -> None:
    """Write a file unless it is there with this content.

    A kill at any moment leaves the whole file or none under its name. It is not made durable by
    itself, which for a million files would take hours: see `Progress.finish`.

    Args:
        path: Where to; folders above are made.
        content: All of the file.

    Raises:
        DataError: If it cannot be written.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     write_member(Path(folder, "crow/a.jpg"), b"pixels")
    ...     Path(folder, "crow/a.jpg").read_bytes(), len(list(Path(folder, "crow").iterdir()))
    (b'pixels', 1)
    """
    try:
        if path.is_file() and not path.is_symlink() and _holds(path, content):
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.part")
        # What a killed run left may be a link that somebody has put there since.
        part.unlink(missing_ok=True)
        part.write_bytes(content)
        part.replace(path)
    except OSError as error:
        raise DataError(
            f"{path}: cannot be written: {error.strerror}; once it can, the same command goes on"
        ) from error


def check_room(folder: Path, needed: int) -> None:
    """Refuse to begin what a disk has no room for.

    Args:
        folder: What will be written to; may not exist yet.
        needed: Bytes still to write.

    Raises:
        DataError: If fewer bytes are free.

    >>> check_room(Path("no such folder"), 0)
    """
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if needed * _MARGIN > free:
        raise DataError(
            f"{folder}: needs {needed * _MARGIN / 1e9:,.1f} GB, and {free / 1e9:,.1f} GB are free: "
            "make room, or choose another --out"
        )


def bytes_below(folder: Path) -> int:
    """Return the sizes of all files below a folder, 0 where there is none.

    >>> bytes_below(Path("no such folder"))
    0
    """
    total = 0
    for where, _, names in os.walk(folder):
        for name in names:
            total += os.lstat(f"{where}/{name}").st_size
    return total


def _holds(path: Path, content: bytes) -> bool:
    return path.stat().st_size == len(content) and path.read_bytes() == content
