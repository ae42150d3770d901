"""Sources of image bytes: local files, members of tar files, and remote files."""

import logging
import os
import stat
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Protocol

import pyarrow as pa
from pyarrow import fs

from wsol._utils.names import shown
from wsol.data.file_index import LeftOut, Names, is_output
from wsol.data.shards.reader import find_member
from wsol.errors import DataError, ImageError


class Source(Protocol):
    """Protocol of images that are not local files.

    ``str()`` is the name in messages and results. Sources are pickled for worker processes.
    """

    def open(self) -> BinaryIO:
        """Return the content as a binary file.

        Raises:
            ImageError: the content is not available; OSError and ValueError are converted to it.
        """


ImageSource = Path | str | Source
"""Image that can be opened: path of a file or of a member of a tar file, or a source."""


@dataclass(frozen=True)
class Content:
    """Image source with the content in memory.

    Args:
        name: name of the image.
        data: content of the image file.

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


def open_source(image: ImageSource) -> BinaryIO:
    """Open the content of an image as a binary file.

    Args:
        image: path of a regular file or of a member of a tar file (see `find_images`), or a
            source.

    Raises:
        ImageError: the file does not exist, is not a regular file, or cannot be opened.

    >>> open_source("missing.jpg")
    Traceback (most recent call last):
    wsol.errors.ImageError: missing.jpg: no such file
    """
    try:
        return _open_file(image) if isinstance(image, Path | str) else image.open()
    except FileNotFoundError as error:
        raise ImageError(name_of(image), "no such file") from error
    except (OSError, ValueError, DataError) as error:
        raise ImageError(name_of(image), f"cannot be opened: {error}") from error


def here(image: ImageSource) -> ImageSource | None:
    """Return an image that any process can open: sources are read to memory; None on error.

    Connections to remote file systems cannot be used in forked processes.
    """
    if isinstance(image, Path | str | Content):
        return image
    try:
        with open_source(image) as file:
            return Content(str(image), file.read())
    except ImageError:
        return None


def name_of(image: ImageSource) -> Path | str:
    """Return the path of an image, or the name of a source."""
    return image if isinstance(image, Path | str) else str(image)


def _open_file(path: Path | str) -> BinaryIO:
    part = find_member(path)
    if part is not None:
        return part.open()
    try:
        status = Path(path).stat()
    except (FileNotFoundError, NotADirectoryError):
        # Another process may have opened the shards that contain it.
        part = find_member(path, search=True)
        if part is None:
            raise
        return part.open()
    if stat.S_ISDIR(status.st_mode):
        raise ImageError(path, "is a folder, not an image file")
    if not stat.S_ISREG(status.st_mode):
        raise ImageError(path, "is not a regular file")
    return Path(path).open("rb")


_logger = logging.getLogger("wsol")

# With fsspec, each file system would be a further package with its own options and errors.
REMOTE_ERRORS = (OSError, ValueError, pa.ArrowException)
"""Exceptions of pyarrow's file systems."""

MOST_BYTES = 512 * 2**20
"""Maximum size of a remote file in bytes, which is read as a whole to save requests."""


@dataclass(frozen=True)
class RemoteFile:
    """Image file in a folder, given by its URI, of a remote file system."""

    folder: str
    name: str

    def __str__(self) -> str:
        """Return the name, without the URI of the folder, which may contain credentials."""
        return self.name

    def open(self) -> BinaryIO:
        """Return the content as a binary file; raise ImageError if it is too large."""
        system, base = open_folder(self.folder)
        with system.open_input_file(f"{base}/{self.name}") as file:
            if file.size() > MOST_BYTES:
                raise ImageError(
                    self.name, f"{file.size():,} bytes exceed the limit of {MOST_BYTES:,}"
                )
            return BytesIO(file.read())


def index_remote(uri: str, suffixes: Collection[str]) -> Names:
    """List the files below a remote folder with certain suffixes, ignoring case.

    As in local folders, hidden files, folders that wsol has written and images of unsupported
    formats are left out.

    Raises:
        DataError: the folder does not exist, or cannot be listed.
    """
    try:
        system, base = open_folder(uri)
        if system.get_file_info(base).type != fs.FileType.Directory:
            raise DataError(f"{shown(uri)}: no such folder; check the URI")
        left_out = LeftOut()
        names = Names(_walk(system, base, suffixes, left_out)).sorted()
        left_out.log(shown(uri))
        return names
    except REMOTE_ERRORS as error:
        raise DataError(
            f"{shown(uri)}: cannot be listed: {' '.join(str(error).split())}"
        ) from error


def open_folder(uri: str) -> tuple[fs.FileSystem, str]:
    """Return the file system of a URI, and the folder's path in it, or raise `REMOTE_ERRORS`.

    Forked processes open a separate connection, as connections cannot be shared.
    """
    return _open(uri, os.getpid())


@lru_cache(maxsize=8)
def _open(uri: str, process: int) -> tuple[fs.FileSystem, str]:
    system, path = fs.FileSystem.from_uri(uri)
    return system, path.rstrip("/")


def _walk(
    system: fs.FileSystem, base: str, suffixes: Collection[str], left_out: LeftOut
) -> Iterator[str]:
    todo = [base]
    while todo:
        folder = todo.pop()
        # One folder at a time, as a recursive listing takes much more memory than the names.
        entries = system.get_file_info(fs.FileSelector(folder))
        if folder != base and _is_output(system, folder, entries):
            _logger.warning("%r was written by wsol and was skipped", folder)
            continue
        for entry in entries:
            path = PurePosixPath(entry.path)
            if path.name.startswith("."):
                continue
            if entry.type == fs.FileType.Directory:
                todo.append(entry.path)
            elif path.suffix.lower() in suffixes:
                yield path.relative_to(base).as_posix()
            else:
                left_out.add(path.name)


def _is_output(system: fs.FileSystem, folder: str, entries: Sequence[fs.FileInfo]) -> bool:
    names = {PurePosixPath(entry.path).name for entry in entries}

    def exists(name: str) -> bool:
        first, slash, _ = name.partition("/")
        if first not in names or not slash:
            return first in names
        info = system.get_file_info(f"{folder}/{name}")
        return bool(info.type == fs.FileType.File)

    def start(name: str) -> bytes:
        with system.open_input_file(f"{folder}/{name}") as file:
            return bytes(file.read())[:64]

    return is_output(exists, start)
