"""A picture that lies whole inside a larger file."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Final

LARGEST: Final = 256 * 2**20
"""Bytes of the largest picture that is taken; the largest of ILSVRC has 16 MB."""

_OPEN_FILES: Final = 64


@dataclass(frozen=True)
class Part:
    """The bytes of one picture in a file of many, as a member is in a tar archive.

    Args:
        name: of the picture.
        file: that holds it.
        offset: of its first byte.
        size: bytes.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "pictures")
    ...     _ = file.write_bytes(b"first second")
    ...     Part("b.jpg", file, offset=6, size=6).open().read()
    b'second'
    """

    name: str
    file: Path
    offset: int
    size: int

    def __str__(self) -> str:
        """Return the name."""
        return self.name

    def open(self) -> BinaryIO:
        """Return the bytes as a file.

        Raises:
            OSError: the file cannot be read.
            ValueError: the file ends before they do, or they are too many.
        """
        if self.size > LARGEST:
            raise ValueError(f"{self.size:,} bytes are more than {LARGEST:,}")
        file = _open(self.file)
        data = b""
        # A network's file system may give less than it is asked for.
        while len(data) < self.size:
            piece = os.pread(file.number, self.size - len(data), self.offset + len(data))
            if not piece:
                raise ValueError(f"{self.file} ends before it does")
            data += piece
        return BytesIO(data)


class _Descriptor:
    """An open file that any number of threads and processes read from any place."""

    def __init__(self, path: Path) -> None:
        self.number = -1
        self.number = os.open(path, os.O_RDONLY)

    # Kept as a default, since modules may be gone when the process ends.
    def __del__(self, close: Callable[[int], None] = os.close) -> None:
        if self.number >= 0:
            close(self.number)


@lru_cache(_OPEN_FILES)
def _open(path: Path) -> _Descriptor:
    return _Descriptor(path)


forget_files = _open.cache_clear
"""Close all open files, as others may be in their place now."""
