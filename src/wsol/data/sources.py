"""Where the bytes of an image come from: the one place that opens images."""

import logging
import os
import stat
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Protocol, overload

import pyarrow as pa
from pyarrow import fs

from wsol._utils.names import shown
from wsol.data.file_index import LeftOut, Names, is_output
from wsol.data.shards.reader import find_member
from wsol.errors import DataError, ImageError


class Source(Protocol):
    """An image that is no file of its own.

    ``str()`` names it in messages and results. It goes to worker processes, so it can be pickled.
    """

    def open(self) -> BinaryIO:
        """Return the bytes, to be read from their start and closed.

        Raises:
            ImageError: they cannot be had; any OSError or ValueError becomes one.
        """


ImageSource = Path | str | Source
"""What can be opened as an image: the path of a file or of one in tar files, or a source."""


@dataclass(frozen=True)
class Content:
    """The bytes themselves, as whatever has read them gives them.

    Args:
        name: of the image.
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


def open_source(image: ImageSource) -> BinaryIO:
    """Return the bytes of an image, to be read and closed.

    Args:
        image: a regular file, one in a folder of tar files as `find_images` names it, or a
            source.

    Raises:
        ImageError: there is no such file, it is none, or it cannot be opened.

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
    """Return an image that any process can open: of a source its content, None if it has none.

    Connections to other file systems do not survive that a process is forked.

    >>> here("a.jpg"), here(Content("a.jpg", b""))
    ('a.jpg', Content(name='a.jpg'))
    """
    if isinstance(image, Path | str | Content):
        return image
    try:
        with open_source(image) as file:
            return Content(str(image), file.read())
    except ImageError:
        return None


def name_of(image: ImageSource) -> Path | str:
    """Return what an image is called in messages.

    >>> name_of(Content("a.jpg", b""))
    'a.jpg'
    """
    return image if isinstance(image, Path | str) else str(image)


def _open_file(path: Path | str) -> BinaryIO:
    part = find_member(path)
    if part is not None:
        return part.open()
    try:
        status = Path(path).stat()
    except (FileNotFoundError, NotADirectoryError):
        # Another process than this one may have looked into the shards that hold it.
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

MOST_BYTES = 512 * 2**20
"""Of one file, which is read whole: a request for each of its parts would take longer."""


@dataclass(frozen=True)
class RemoteFile:
    """An image's file on another file system.

    Args:
        folder: URI of the folder.
        name: of the file in it.

    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "a b.jpg").write_bytes(b"bytes")
    ...     RemoteFile(Path(folder).as_uri(), "a b.jpg").open().read()
    b'bytes'
    """

    folder: str
    name: str

    def __str__(self) -> str:
        """Return the name, without what the folder's URI may tell of keys."""
        return self.name

    def open(self) -> BinaryIO:
        """Return what the file holds.

        Raises:
            ImageError: it is too large.
        """
        system, base = open_folder(self.folder)
        with system.open_input_file(f"{base}/{self.name}") as file:
            if file.size() > MOST_BYTES:
                raise ImageError(self.name, f"has {file.size():,} bytes: too large to be fetched")
            return BytesIO(file.read())


class RemoteFiles(Sequence[RemoteFile]):
    """The files of some names in a folder elsewhere.

    Args:
        folder: its URI.
        names: of the files.

    >>> files = RemoteFiles("s3://bucket/photos", Names(["a/1.jpg"]))
    >>> files[0]
    RemoteFile(folder='s3://bucket/photos', name='a/1.jpg')
    """

    def __init__(self, folder: str, names: Sequence[str]) -> None:
        """Keep the names."""
        self.folder, self.names = folder, names

    def __len__(self) -> int:
        """Return the number of files."""
        return len(self.names)

    @overload
    def __getitem__(self, index: int) -> RemoteFile: ...

    @overload
    def __getitem__(self, index: slice) -> "RemoteFiles": ...

    def __getitem__(self, index: int | slice) -> "RemoteFile | RemoteFiles":
        """Return a file, or those of a slice."""
        if isinstance(index, slice):
            return RemoteFiles(self.folder, self.names[index])
        return RemoteFile(self.folder, self.names[index])


def index_remote(uri: str, suffixes: Collection[str]) -> Names:
    """List the files beneath a folder elsewhere that have one of some suffixes, in any case.

    Hidden files, folders that wsol has written and images of other kinds are left out, as they are
    on this machine's disks.

    Args:
        uri: of the folder.
        suffixes: what names may end in, in lower case, with the dot.

    Raises:
        DataError: there is no such folder, or it cannot be listed.

    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("b.JPG", "a.jpg", ".hidden.jpg", "notes.txt"):
    ...         Path(folder, name).touch()
    ...     list(index_remote(Path(folder).as_uri(), {".jpg"}))
    ['a.jpg', 'b.JPG']
    """
    try:
        system, base = open_folder(uri)
        if system.get_file_info(base).type != fs.FileType.Directory:
            raise DataError(f"{shown(uri)}: no such folder")
        left_out = LeftOut()
        names = Names(_walk(system, base, suffixes, left_out)).sorted()
        left_out.log(shown(uri))
        return names
    except (OSError, ValueError, NotImplementedError, pa.ArrowException) as error:
        raise DataError(
            f"{shown(uri)}: cannot be listed: {' '.join(str(error).split())}"
        ) from error


def open_folder(uri: str) -> tuple[fs.FileSystem, str]:
    """Return the file system of a URI, and the folder's path in it.

    A process that was forked opens its own, as connections cannot be shared.

    Args:
        uri: of the folder.

    Raises:
        OSError: it cannot be reached.
        ValueError: it is no URI that pyarrow knows.
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
        # One folder at a time: a listing of all takes much more memory than their names.
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
