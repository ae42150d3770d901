"""Reader of data sets in tar files, in place, without extraction."""

import os
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from pathlib import Path, PurePath
from typing import BinaryIO, Final

from wsol.data.archives import LARGEST
from wsol.data.file_index import IMAGE_SUFFIXES, index_files, is_output_folder
from wsol.data.samples import Samples
from wsol.data.shards.index import INDEX, ShardIndex, load_index
from wsol.data.shards.webdataset import scan_shards
from wsol.errors import DataError

_OPEN_FILES: Final = 64


@dataclass(frozen=True)
class ShardMember:
    """Image at a position in a file, such as a member of a tar archive.

    Args:
        name: name of the image.
        file: path of the file.
        offset: offset of the first byte.
        size: size in bytes.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "images")
    ...     _ = file.write_bytes(b"first second")
    ...     ShardMember("b.jpg", file, offset=6, size=6).open().read()
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
        """Return the content as a binary file.

        Raises:
            OSError: the file cannot be read.
            ValueError: the file is truncated, or the image too large.
        """
        if self.size > LARGEST:
            raise ValueError(f"{self.size:,} bytes exceed the limit of {LARGEST:,}")
        file = _open_file(self.file)
        data = b""
        # Network file systems may return fewer bytes than requested.
        while len(data) < self.size:
            piece = os.pread(file.number, self.size - len(data), self.offset + len(data))
            if not piece:
                raise ValueError(f"{self.file} is truncated")
            data += piece
        return BytesIO(data)


class _Descriptor:
    """Open file that threads and processes can read concurrently at any position."""

    def __init__(self, path: Path) -> None:
        self.number = -1
        self.number = os.open(path, os.O_RDONLY)

    # A default argument, since modules may be unloaded at the end of the process.
    def __del__(self, close: Callable[[int], None] = os.close) -> None:
        if self.number >= 0:
            close(self.number)


@lru_cache(_OPEN_FILES)
def _open_file(path: Path) -> _Descriptor:
    return _Descriptor(path)


forget_files = _open_file.cache_clear
"""Close all open files, as they may have been replaced."""


@dataclass(frozen=True, eq=False)
class _Opened:
    """Shards that this process has opened.

    `prefix` is the prefix of the image paths; `rows` are the rows of the index sorted by id, for
    binary search; `stamps` show whether the files have changed.
    """

    prefix: str
    index: ShardIndex
    rows: list[int]
    stamps: tuple[object, ...]

    def find(self, name: str) -> ShardMember | None:
        index = self.index
        place = bisect_left(self.rows, name, key=index.ids.__getitem__)
        if place == len(self.rows) or index.ids[row := self.rows[place]] != name:
            return None
        file = Path(self.prefix, index.shards[index.shard[row]])
        return ShardMember(self.prefix + name, file, int(index.offset[row]), int(index.size[row]))


_COMPRESSED: Final = (
    *(".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst", ".tzst"),
)

_SUFFIXES: Final = {".tar"} | {PurePath(f"a{name}").suffix for name in _COMPRESSED}

_opened: dict[str, _Opened] = {}
"""Opened shards by prefix, which forked worker processes inherit."""


def is_sharded(root: Path | str) -> bool:
    """Return whether the images of a folder are in tar files.

    This holds for folders of `wsol pack`, and for folders with tar files, or subfolders of tar
    files, but without images and other subfolders. Hidden files and folders that wsol has written
    are ignored. Compressed tar files count, so that they raise an error instead of being ignored.

    Args:
        root: Any folder.

    >>> is_sharded("no such folder")
    False
    """
    return _holds_shards(Path(root), deep=True)


def _holds_shards(root: Path, *, deep: bool) -> bool:
    try:
        with os.scandir(root) as entries:
            visible = [entry for entry in entries if not entry.name.startswith(".")]
    except OSError:
        return False
    names = {entry.name for entry in visible}
    has_shards = any(name.lower().endswith((".tar", *_COMPRESSED)) for name in names)
    if has_shards and INDEX in names:
        return True
    if any(Path(name).suffix.lower() in IMAGE_SUFFIXES for name in names):
        return False
    for folder in (Path(entry.path) for entry in visible if entry.is_dir()):
        if is_output_folder(folder):
            continue
        if not (deep and _holds_shards(folder, deep=False)):
            return False
        has_shards = True
    return has_shards


def list_shards(root: Path | str, *, follow_links: bool = False) -> list[str]:
    """Return the sorted names of the images in a folder of shards, see `is_sharded`.

    Each image can be opened as `root / name`, like a file.

    Raises:
        DataError: If a shard or the index is damaged.
    """
    loaded = _open(Path(root), follow_links)
    return [loaded.index.ids[row] for row in loaded.rows]


def read_shards(root: Path | str, *, follow_links: bool = False) -> dict[str, Samples]:
    """Return the splits of a data set in a folder of shards.

    Args:
        root: Folder of `wsol pack`, or of tar files in WebDataset format, see `scan_shards`.
        follow_links: Whether tar files may be links that lead out of the folder.

    Raises:
        DataError: If a shard or the index is damaged, or there are no images with labels.
    """
    index = _open(Path(root), follow_links).index
    if not index.ids:
        raise DataError(f"{root}: no images in the tar files; use tar files of images")
    if not index.splits:
        raise DataError(f"{root}: {index.fault}")
    return dict(index.splits)


def find_member(path: Path | str, *, search: bool = False) -> ShardMember | None:
    """Return the shard member with a path `root / name`, with a name of `list_shards`, or None.

    Only shards that this process has opened are searched, or with `search`, those in the parent
    folders too.

    Raises:
        DataError: If a shard or the index is damaged.
    """
    text = os.fspath(path)
    for prefix, loaded in _opened.items():
        if text.startswith(prefix):
            part = loaded.find(text[len(prefix) :])
            if part is not None:
                return part
    for parent in Path(path).parents if search else ():
        if is_sharded(parent):
            name = Path(path).relative_to(parent).as_posix()
            return _open(parent, follow_links=False).find(name)
    return None


def _open(root: Path, follow_links: bool) -> _Opened:
    """Return the index of a folder of shards, which is read again if files have changed."""
    found_files = index_files(root, _SUFFIXES, follow_links=follow_links, inputs_only=True)
    packed = next((name for name in found_files if name.lower().endswith(_COMPRESSED)), None)
    if packed is not None:
        raise DataError(
            f"{root / packed}: compressed tar files cannot be read in place; decompress it"
        )
    files = [name for name in found_files if name.lower().endswith(".tar")]
    index = root / INDEX
    stamps = tuple(
        (name, status.st_ino, status.st_size, status.st_mtime_ns)
        for name in [*files, INDEX]
        if (root / name).is_file()
        for status in [(root / name).stat()]
    )
    # Paths in the folder `.` have no prefix.
    prefix = str(root / "_")[:-1]
    known = _opened.get(prefix)
    if known is not None and known.stamps == stamps:
        return known
    found = load_index(root, files) if index.is_file() else scan_shards(root, files)
    forget_files()
    rows = sorted(range(len(found.ids)), key=found.ids.__getitem__)
    _opened[prefix] = loaded = _Opened(prefix, found, rows, stamps)
    return loaded
