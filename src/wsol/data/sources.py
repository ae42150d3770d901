"""Where the bytes of a picture come from: the one place that opens pictures."""

import stat
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Protocol

from wsol.data.shards.reader import find_part
from wsol.errors import DataError, ImageError


class Source(Protocol):
    """A picture that is no file of its own.

    ``str()`` names it in messages and results. It goes to worker processes, so it can be pickled.
    """

    def open(self) -> BinaryIO:
        """Return the bytes, to be read from their start and closed.

        Raises:
            ImageError: they cannot be had; any OSError or ValueError becomes one.
        """


Picture = Path | str | Source
"""What can be opened as a picture: the path of a file or of one in tar files, or a source."""


@dataclass(frozen=True)
class Content:
    """The bytes themselves, as whatever has read them gives them.

    Args:
        name: of the picture.
        data: what its file holds.

    >>> open_source(Content("a.jpg", b"bytes")).read()
    b'bytes'
    """

    name: str
    data: bytes = field(repr=False)

    def __str__(self) -> str:
        """Return the name."""
        return self.name

    def open(self) -> BinaryIO:
        """Return the bytes as a file."""
        return BytesIO(self.data)


def open_source(picture: Picture) -> BinaryIO:
    """Return the bytes of a picture, to be read and closed.

    Args:
        picture: a regular file, one in a folder of tar files as `find_images` names it, or a
            source.

    Raises:
        ImageError: there is no such file, it is none, or it cannot be opened.

    >>> open_source("missing.jpg")
    Traceback (most recent call last):
    wsol.errors.ImageError: missing.jpg: no such file
    """
    try:
        return _open_file(picture) if isinstance(picture, Path | str) else picture.open()
    except FileNotFoundError as error:
        raise ImageError(name_of(picture), "no such file") from error
    except (OSError, ValueError, DataError) as error:
        raise ImageError(name_of(picture), f"cannot be opened: {error}") from error


def here(picture: Picture) -> Picture | None:
    """Return a picture that any process can open: of a source its content, None if it has none.

    Connections to other file systems do not survive that a process is forked.

    >>> here("a.jpg"), here(Content("a.jpg", b""))
    ('a.jpg', Content(name='a.jpg'))
    """
    if isinstance(picture, Path | str | Content):
        return picture
    try:
        with open_source(picture) as file:
            return Content(str(picture), file.read())
    except ImageError:
        return None


def name_of(picture: Picture) -> Path | str:
    """Return what a picture is called in messages.

    >>> name_of(Content("a.jpg", b""))
    'a.jpg'
    """
    return picture if isinstance(picture, Path | str) else str(picture)


def _open_file(path: Path | str) -> BinaryIO:
    part = find_part(path)
    if part is not None:
        return part.open()
    try:
        status = Path(path).stat()
    except (FileNotFoundError, NotADirectoryError):
        # Another process than this one may have looked into the shards that hold it.
        part = find_part(path, search=True)
        if part is None:
            raise
        return part.open()
    if stat.S_ISDIR(status.st_mode):
        raise ImageError(path, "is a folder, not an image file")
    if not stat.S_ISREG(status.st_mode):
        raise ImageError(path, "is not a regular file")
    return Path(path).open("rb")
