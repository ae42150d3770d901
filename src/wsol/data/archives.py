"""Archives as streams of regular files: tar, compressed or not, tar inside tar, and zip."""

import bz2
import gzip
import io
import lzma
import re
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any, BinaryIO, Final, cast

from wsol.errors import DataError

LONGEST_PART: Final = 200
"""Bytes in the longest name of a file or folder; file systems take 255, and a suffix is added."""
LONGEST: Final = 1000


def name_fault(name: str) -> str | None:
    r"""Return why a member's name is not a plain path below the archive's root, or None.

    Args:
        name: As the archive states it, with forward slashes.

    >>> name_fault("images/001.Albatross/a b.jpg"), name_fault("./images.txt")
    (None, None)
    >>> name_fault("../a.jpg")
    'leads out of the folder'
    >>> name_fault("/etc/passwd"), name_fault("C:/a.jpg"), name_fault("a\\b.jpg")
    ('is an absolute path', 'is a path of Windows', 'is a path of Windows')
    """
    parts = name.split("/")
    if not chunks_of(name) or any(ord(character) < 32 for character in name):
        return "is empty or holds control characters"
    if name.startswith("/"):
        return "is an absolute path"
    if "\\" in name or re.match(r"[A-Za-z]:", name):
        return "is a path of Windows"
    if ".." in parts:
        return "leads out of the folder"
    sizes = [len(part.encode("utf-8", "surrogateescape")) for part in parts]
    if max(sizes) > LONGEST_PART or sum(sizes) > LONGEST:
        return f"is too long: {max(sizes)} bytes in one part"
    return None


def chunks_of(name: str) -> tuple[str, ...]:
    """Return the parts of a sound name, without the dots that mean nothing.

    >>> chunks_of("./images//a.jpg")
    ('images', 'a.jpg')
    """
    return PurePosixPath(name).parts


LARGEST: Final = 256 * 2**20
"""Bytes of the largest file that is taken; the largest image of ILSVRC has 16 MB."""
_AT_ONCE: Final = 4 * 2**20
_PIECE: Final = 2**20
_BLOCK: Final = 512

_OPENERS: Final[dict[bytes, Callable[[BinaryIO], io.BufferedIOBase]]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\x00": lzma.open,
}

_ZSTD: Final = b"\x28\xb5\x2f\xfd"

# What the readers of Python's library raise on damaged archives.
_FAULTS: Final = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    MemoryError,
    OSError,
    OverflowError,
    RuntimeError,
    ValueError,
)


@dataclass(frozen=True)
class Member:
    """One regular file of an archive, to be read before the next one is asked for.

    Args:
        where: Archive and name, for messages.
        name: A sound path with forward slashes, see `name_fault`.
        size: Bytes, as the archive states them.
        stream: Opens the content.
        offset: Place of its first byte in a tar archive that is not compressed.
    """

    where: str
    name: str
    size: int
    stream: Callable[[], BinaryIO]
    offset: int = 0

    def read(self, largest: int = LARGEST) -> bytes:
        """Return the whole content.

        Raises:
            DataError: If it is larger than `largest` bytes, damaged or cut short.
        """
        if self.size > largest:
            raise DataError(f"{self.where}: {self.size:,} bytes are more than {largest:,}; refused")
        with _one_error(self.where), self.stream() as file:
            pieces = list(iter(lambda: file.read(_PIECE), b""))
        content = b"".join(pieces)
        if len(content) != self.size:
            raise DataError(f"{self.where}: holds {len(content):,} of {self.size:,} bytes")
        return content

    def members(self) -> Iterator["Member"]:
        """Yield the files of a tar archive that lies in this one, reading it as it comes.

        Raises:
            DataError: If it is no tar archive, damaged, cut short, or has a member that is refused.
        """
        with _one_error(self.where):
            file = self.stream()
        with file:
            yield from _tar_members(file, self.where)


class Archive:
    """An archive on disk.

    Args:
        path: A tar file, plain or compressed by gzip, bzip2 or xz, or a zip file.

    Raises:
        DataError: If it cannot be opened.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "a.zip")
    ...     with zipfile.ZipFile(file, "w") as writer:
    ...         writer.writestr("b/c.txt", "text")
    ...     with Archive(file) as archive:
    ...         [(member.name, member.read()) for member in archive.members()]
    [('b/c.txt', b'text')]
    """

    def __init__(self, path: Path) -> None:
        """Open the file; what kind it is shows its content."""
        self.path = path
        try:
            self._file = path.open("rb")
        except OSError as error:
            raise DataError(f"{path}: {error.strerror}; give the archive's path") from error
        self.size = path.stat().st_size

    def __enter__(self) -> "Archive":
        """Return the archive."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file."""
        self._file.close()

    def position(self) -> int:
        """Return how many of the file's bytes lie behind what was read last."""
        return self._file.tell()

    def members(self) -> Iterator[Member]:
        """Yield the regular files in their order; folders are passed over.

        Raises:
            DataError: If the archive is damaged or cut short, or holds a link, a device or a name
                that leads out of a folder.
        """
        with _one_error(str(self.path)):
            start = self._file.read(8)
            self._file.seek(0)
            is_zip = start.startswith(b"PK")
            opener = next((o for magic, o in _OPENERS.items() if start.startswith(magic)), None)
        if is_zip:
            yield from _zip_members(self._file, str(self.path))
        elif opener is None:
            yield from _tar_members(self._file, str(self.path))
        else:
            with opener(self._file) as plain:
                yield from _tar_members(plain, str(self.path))


class _Guarded(io.BufferedIOBase):
    """A file whose headers cannot ask for any amount of memory, and that can step back a little.

    tarfile steps back a byte between members, which in a compressed file would mean to begin anew.
    """

    def __init__(self, file: BinaryIO | io.BufferedIOBase) -> None:
        self._file = file
        self._place = self._end = 0
        self._tail = b""

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0, /) -> int:
        self._place = offset
        return offset

    def tell(self) -> int:
        return self._place

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or not 0 <= size <= _AT_ONCE:
            raise tarfile.ReadError("a header asks for more memory than any sound one")
        back = self._end - self._place
        again = self._tail[len(self._tail) - back :][:size] if 0 < back <= len(self._tail) else b""
        if not again and back:
            self._file.seek(self._place)
        content = again + self._file.read(size - len(again))
        self._place += len(content)
        self._end = max(self._place, self._end) if again else self._place
        if len(content) > len(again) or not again:
            self._tail = content[-_BLOCK:]
        return content


def plain_members(path: Path, passed_over: Callable[[str], None]) -> Iterator[Member]:
    """Yield the regular files of a tar archive that is not compressed, from its headers alone.

    Args:
        path: The archive.
        passed_over: Takes a line on each link, device and name that leads out of a folder.

    Raises:
        DataError: If it cannot be opened, is compressed, damaged or cut short.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}; give the archive's path") from error
    with file:
        start = file.read(8)
        if start.startswith((*_OPENERS, _ZSTD)):
            raise DataError(
                f"{path}: is a compressed tar file, which cannot be read in place; decompress it"
            )
        file.seek(0)
        yield from _tar_members(file, str(path), passed_over)


def _refuse(fault: str) -> None:
    raise DataError(f"{fault}; refused")


def _tar_members(
    file: BinaryIO | io.BufferedIOBase, where: str, refuse: Callable[[str], None] = _refuse
) -> Iterator[Member]:
    guarded = _Guarded(file)
    with _one_error(where):
        tar = tarfile.TarFile(fileobj=guarded)
    with tar:
        while True:
            with _one_error(where):
                info = tar.next()
            if info is None:
                break
            # It would remember all it has seen.
            cast(Any, tar).members.clear()
            fault = _name_fault(where, f"{info.name}/in it" if info.isdir() else info.name)
            if not fault and not info.isdir() and (not info.isreg() or info.issparse()):
                fault = f"{where}: {info.name!r} is a link or a device"
            if fault:
                refuse(fault)
            elif info.isreg():
                yield _tar_member(tar, info, where)
        with _one_error(where):
            # tarfile takes a damaged header, and a file that ends early, for the end.
            guarded.seek(tar.offset)
            end = guarded.read(_BLOCK)
        if end != bytes(_BLOCK):
            raise DataError(f"{where}: damaged or cut short at byte {tar.offset:,}; get it again")


def _tar_member(tar: tarfile.TarFile, info: tarfile.TarInfo, where: str) -> Member:
    def stream() -> BinaryIO:
        content = tar.extractfile(info)
        if content is None:
            raise tarfile.ReadError("has no content")
        return cast(BinaryIO, content)

    return Member(f"{where}: {info.name}", info.name, info.size, stream, info.offset_data)


def _zip_members(file: BinaryIO, where: str) -> Iterator[Member]:
    with _one_error(where):
        archive = zipfile.ZipFile(file)
    with archive:
        for info in archive.infolist():
            # filename ends at a NUL, which orig_filename still has.
            fault = _name_fault(
                where, f"{info.orig_filename}in it" if info.is_dir() else info.orig_filename
            )
            if fault:
                _refuse(fault)
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise DataError(f"{where}: {info.filename!r} is a link or a device; refused")
            if not info.is_dir():
                yield _zip_member(archive, info, where)


def _zip_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, where: str) -> Member:
    def stream() -> BinaryIO:
        return io.BytesIO(archive.open(info).read(info.file_size + 1))

    return Member(f"{where}: {info.filename}", info.filename, info.file_size, stream)


def _name_fault(where: str, name: str) -> str | None:
    fault = name_fault(name)
    return f"{where}: the name {name[:100]!r} {fault}" if fault else None


@contextmanager
def _one_error(where: str) -> Iterator[None]:
    """Turn what a reader raises on a damaged archive into one error with its place."""
    try:
        yield
    except _FAULTS as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{where}: cannot be read: {reason}; get the archive again") from error
