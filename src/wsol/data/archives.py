"""Safe reading of archives as streams of regular files: tar, nested or compressed tar, and zip."""

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
"""Maximum length in bytes of a file or folder name; file systems allow 255, and a suffix is
appended."""
LONGEST: Final = 1000


def name_fault(name: str) -> str | None:
    r"""Return why a member's name is not a plain path below the archive's root, or None.

    Args:
        name: Name in the archive, with forward slashes.

    >>> name_fault("images/001.Albatross/a b.jpg"), name_fault("./images.txt")
    (None, None)
    >>> name_fault("../a.jpg")
    'leads out of the folder'
    >>> name_fault("/etc/passwd"), name_fault("C:/a.jpg"), name_fault("a\\b.jpg")
    ('is an absolute path', 'is a Windows path', 'is a Windows path')
    """
    parts = name.split("/")
    if not chunks_of(name) or any(ord(character) < 32 for character in name):
        return "is empty or contains control characters"
    if name.startswith("/"):
        return "is an absolute path"
    if "\\" in name or re.match(r"[A-Za-z]:", name):
        return "is a Windows path"
    if ".." in parts:
        return "leads out of the folder"
    sizes = [len(part.encode("utf-8", "surrogateescape")) for part in parts]
    if max(sizes) > LONGEST_PART or sum(sizes) > LONGEST:
        return f"is too long ({max(sizes)} bytes in one part)"
    return None


def chunks_of(name: str) -> tuple[str, ...]:
    """Return the parts of a valid name, without redundant dots.

    >>> chunks_of("./images//a.jpg")
    ('images', 'a.jpg')
    """
    return PurePosixPath(name).parts


LARGEST: Final = 256 * 2**20
"""Maximum size of a file in bytes; the largest image of ILSVRC has 16 MB."""
_AT_ONCE: Final = 4 * 2**20
_PIECE: Final = 2**20
_BLOCK: Final = 512

_OPENERS: Final[dict[bytes, Callable[[BinaryIO], io.BufferedIOBase]]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\x00": lzma.open,
}

_ZSTD: Final = b"\x28\xb5\x2f\xfd"

# Exceptions that Python's archive modules raise on damaged archives.
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
    """Regular file of an archive, which must be read before the next member.

    Args:
        where: Archive and name, for messages.
        name: Valid path with forward slashes, see `name_fault`.
        size: Size in bytes according to the archive.
        stream: Function that opens the content.
        offset: Offset of the first byte in an uncompressed tar archive.
    """

    where: str
    name: str
    size: int
    stream: Callable[[], BinaryIO]
    offset: int = 0

    def read(self, largest: int = LARGEST) -> bytes:
        """Return the content.

        Raises:
            DataError: If it is larger than `largest` bytes, damaged or truncated.
        """
        if self.size > largest:
            raise DataError(f"{self.where}: {self.size:,} bytes exceed the limit of {largest:,}")
        with _one_error(self.where), self.stream() as file:
            pieces = list(iter(lambda: file.read(_PIECE), b""))
        content = b"".join(pieces)
        if len(content) != self.size:
            raise DataError(
                f"{self.where}: contains {len(content):,} of {self.size:,} bytes; get the archive "
                "again"
            )
        return content

    def members(self) -> Iterator["Member"]:
        """Yield the files of a nested tar archive, read as a stream.

        Raises:
            DataError: If it is not a tar archive, damaged, truncated, or has an unsafe member.
        """
        with _one_error(self.where):
            file = self.stream()
        with file:
            yield from _tar_members(file, self.where)


class Archive:
    """Archive on disk.

    Args:
        path: Tar file, uncompressed or compressed by gzip, bzip2 or xz, or zip file.

    Raises:
        DataError: If the file cannot be opened.

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
        """Open the file, whatever its suffix."""
        self.path = path
        try:
            self._file = path.open("rb")
        except OSError as error:
            raise DataError(f"{path}: {error.strerror}; use the path of the archive") from error
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
        """Return the number of bytes of the file that have been read."""
        return self._file.tell()

    def members(self) -> Iterator[Member]:
        """Yield the regular files in their order; folders are skipped.

        Raises:
            DataError: If the archive is damaged or truncated, or contains a link, a device or a
                name that leads out of the folder.
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


class _LimitedFile(io.BufferedIOBase):
    """File that limits the size of a read, and can seek back a little.

    Headers thus cannot allocate any amount of memory. tarfile seeks back a byte between members,
    which would restart the decompression of a compressed file.
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
            raise tarfile.ReadError("a header requests too much memory")
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
    """Yield the regular files of an uncompressed tar archive, reading headers only.

    Args:
        path: Path of the archive.
        passed_over: Function that gets a message for each skipped member: links, devices and names
            that lead out of the folder.

    Raises:
        DataError: If the archive cannot be opened, is compressed, damaged or truncated.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}; use the path of the archive") from error
    with file:
        start = file.read(8)
        if start.startswith((*_OPENERS, _ZSTD)):
            raise DataError(f"{path}: compressed tar files cannot be read in place; decompress it")
        file.seek(0)
        yield from _tar_members(file, str(path), passed_over)


def _refuse(fault: str) -> None:
    raise DataError(f"{fault}; refused")


def _tar_members(
    file: BinaryIO | io.BufferedIOBase, where: str, refuse: Callable[[str], None] = _refuse
) -> Iterator[Member]:
    limited = _LimitedFile(file)
    with _one_error(where):
        tar = tarfile.TarFile(fileobj=limited)
    with tar:
        while True:
            with _one_error(where):
                info = tar.next()
            if info is None:
                break
            # tarfile would keep all members in memory.
            cast(Any, tar).members.clear()
            fault = _name_fault(where, f"{info.name}/in it" if info.isdir() else info.name)
            if not fault and not info.isdir() and (not info.isreg() or info.issparse()):
                fault = f"{where}: {info.name!r} is a link or a device"
            if fault:
                refuse(fault)
            elif info.isreg():
                yield _tar_member(tar, info, where)
        with _one_error(where):
            # tarfile treats a damaged header, and a truncated file, as the end.
            limited.seek(tar.offset)
            end = limited.read(_BLOCK)
        if end != bytes(_BLOCK):
            raise DataError(f"{where}: damaged or truncated at byte {tar.offset:,}; get it again")


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
            # filename is truncated at a NUL character, orig_filename is not.
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
    """Convert exceptions on a damaged archive to DataError."""
    try:
        yield
    except _FAULTS as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{where}: cannot be read: {reason}; get the archive again") from error
