"""Data sets packed in tar files, read in place: nothing is ever extracted."""

import os
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from pathlib import Path, PurePath
from typing import BinaryIO, Final

from wsol.data.file_index import IMAGE_SUFFIXES, index_files, is_output_folder
from wsol.data.samples import Samples
from wsol.data.shards.index import INDEX, ShardIndex, load_index
from wsol.data.shards.webdataset import scan_shards
from wsol.errors import DataError

LARGEST: Final = 256 * 2**20
"""Bytes of the largest image that is taken; the largest of ILSVRC has 16 MB."""

_OPEN_FILES: Final = 64


@dataclass(frozen=True)
class ShardMember:
    """The bytes of one image in a file of many, as a member is in a tar archive.

    Args:
        name: of the image.
        file: that holds it.
        offset: of its first byte.
        size: bytes.

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
        """Return the bytes as a file.

        Raises:
            OSError: the file cannot be read.
            ValueError: the file ends before they do, or they are too many.
        """
        if self.size > LARGEST:
            raise ValueError(f"{self.size:,} bytes are more than {LARGEST:,}")
        file = _open_file(self.file)
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
def _open_file(path: Path) -> _Descriptor:
    return _Descriptor(path)


forget_files = _open_file.cache_clear
"""Close all open files, as others may be in their place now."""


@dataclass(frozen=True, eq=False)
class _Opened:
    """Shards that this process has looked into.

    `prefix` is what the paths of their images begin with; `rows` are those of the index by id, so
    that one is found by halving; `stamps` tell whether the files are still the same.
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
"""By prefix. Worker processes that are forked have it too."""


def is_sharded(root: Path | str) -> bool:
    """Return whether a folder holds its images in tar files.

    That is so where `wsol pack` wrote it, or where it has tar files, or folders of them, but no
    images and no other folders. What is hidden and folders that wsol has written do not count.
    Compressed tar files count, so that they are refused and not overlooked.

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
    """Return the names of the images in a folder of shards, sorted.

    Each is opened as `root / name`, as if it were a file there.

    Args:
        root: Folder for which `is_sharded` holds.
        follow_links: Whether tar files may be links that lead out of the folder.

    Raises:
        DataError: If a shard or the index is damaged.
    """
    loaded = _open(Path(root), follow_links)
    return [loaded.index.ids[row] for row in loaded.rows]


def read_shards(root: Path | str, *, follow_links: bool = False) -> dict[str, Samples]:
    """Return the splits of a data set in a folder of shards.

    Args:
        root: Folder for which `is_sharded` holds: of `wsol pack`, or of any tar files in
            WebDataset's form, see `scan_shards`.
        follow_links: Whether tar files may be links that lead out of the folder.

    Raises:
        DataError: If a shard or the index is damaged, or there are no images with labels.
    """
    index = _open(Path(root), follow_links).index
    if not index.ids:
        raise DataError(f"{root}: no images in the tar files of this folder")
    if not index.splits:
        raise DataError(f"{root}: {index.fault}")
    return dict(index.splits)


def find_member(path: Path | str, *, search: bool = False) -> ShardMember | None:
    """Return where the image lies that a path names, if it is one in a folder of shards.

    Args:
        path: As `root / name`, of a name that `list_shards` has.
        search: Look for shards in the folders above; otherwise only those count that this process
            has opened.

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
    """Return what is in a folder of shards, which is looked through where it has changed."""
    found_files = index_files(root, _SUFFIXES, follow_links=follow_links, inputs_only=True)
    packed = next((name for name in found_files if name.lower().endswith(_COMPRESSED)), None)
    if packed is not None:
        raise DataError(
            f"{root / packed}: is a compressed tar file, which cannot be read in place; "
            "decompress it"
        )
    files = [name for name in found_files if name.lower().endswith(".tar")]
    index = root / INDEX
    stamps = tuple(
        (name, status.st_ino, status.st_size, status.st_mtime_ns)
        for name in [*files, INDEX]
        if (root / name).is_file()
        for status in [(root / name).stat()]
    )
    # Paths in the folder `.` are written without it.
    prefix = str(root / "_")[:-1]
    known = _opened.get(prefix)
    if known is not None and known.stamps == stamps:
        return known
    found = load_index(root, files) if index.is_file() else scan_shards(root, files)
    forget_files()
    rows = sorted(range(len(found.ids)), key=found.ids.__getitem__)
    _opened[prefix] = loaded = _Opened(prefix, found, rows, stamps)
    return loaded
