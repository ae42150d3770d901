"""Safe reading of archives as streams of regular files: tar, nested or compressed tar, and zip.

Members are not extracted by tarfile or zipfile: tarfile's ``data`` filter and zipfile rename
absolute paths instead of refusing them, and tarfile allows links.
"""

import bz2
import gzip
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
from functools import partial
from io import BufferedReader
from pathlib import Path, PurePosixPath
from typing import IO, Any, Final, Self, cast

from wsol._utils.progress import byte_meter
from wsol.errors import DataError

LARGEST: Final = 256 * 2**20
"""Maximum size of a file in bytes; the largest image of ILSVRC has 16 MB."""

_LONGEST_PART: Final = 200
"""Maximum length in bytes of a file or folder name; file systems allow 255, and a suffix is
appended."""

_LONGEST: Final = 1000
_LARGEST_HEADER: Final = 4 * 2**20
_PIECE: Final = 2**20

_OPENERS: Final[dict[bytes, Callable[[BufferedReader], Any]]] = {
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

    The name is a valid path with forward slashes; the offset is that in an uncompressed tar file.
    """

    where: str
    name: str
    size: int
    stream: Callable[[], IO[bytes]]
    offset: int = 0

    @property
    def parts(self) -> tuple[str, ...]:
        """Parts of the name, without redundant dots."""
        return PurePosixPath(self.name).parts

    def read(self, largest: int = LARGEST) -> bytes:
        """Return the content.

        Raises:
            DataError: If it is larger than `largest` bytes, damaged or truncated.
        """
        if self.size > largest:
            raise DataError(f"{self.where}: {self.size:,} bytes exceed the limit of {largest:,}")
        with _one_error(self.where), self.stream() as file:
            content = b"".join(iter(partial(file.read, _PIECE), b""))
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


def read_archive(path: Path, job: str = "read") -> Iterator[Member]:
    """Yield the regular files of an archive in their order, and show the progress of the job.

    The archive is a tar file, uncompressed or compressed by gzip, bzip2 or xz, or a zip file, with
    any suffix.

    Raises:
        DataError: If the archive cannot be opened, is damaged or truncated, or contains a link, a
            device or a name that leads out of the folder.
    """
    with _open(path) as file, byte_meter(f"{job} {path.name}", path.stat().st_size) as meter:
        for member in _members(file, str(path)):
            yield member
            meter.advance(file.tell() - meter.done)


def plain_members(path: Path, passed_over: Callable[[str], None]) -> Iterator[Member]:
    """Yield the regular files of an uncompressed tar archive, reading headers only.

    `passed_over` gets a message for each skipped member: links, devices and names that lead out.

    Raises:
        DataError: If the archive cannot be opened, is compressed, damaged or truncated.
    """
    with _open(path) as file:
        if file.peek(8).startswith((*_OPENERS, _ZSTD)):
            raise DataError(f"{path}: compressed tar files cannot be read in place; decompress it")
        yield from _tar_members(file, str(path), passed_over)


def _open(path: Path) -> BufferedReader:
    try:
        return path.open("rb")
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}; use the path of the archive") from error


def _members(file: BufferedReader, where: str) -> Iterator[Member]:
    with _one_error(where):
        start = file.peek(8)
    if start.startswith(b"PK"):
        yield from _zip_members(file, where)
        return
    for magic, opener in _OPENERS.items():
        if start.startswith(magic):
            with opener(file) as plain:
                yield from _tar_members(plain, where)
            return
    yield from _tar_members(file, where)


class _StrictHeader(tarfile.TarInfo):
    """Header that raises an error where tarfile would end silently, or allocate any memory."""

    @classmethod
    def fromtarfile(cls, tarfile_: tarfile.TarFile) -> Self:
        try:
            return super().fromtarfile(tarfile_)
        except tarfile.HeaderError as error:
            # Only this one is the regular end; its class is not public.
            if type(error).__name__ == "EOFHeaderError":
                raise
            raise tarfile.ReadError("it is damaged or truncated") from error

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        header = super().frombuf(buf, encoding, errors)
        if header.type in _EXTENSIONS and header.size > _LARGEST_HEADER:
            raise tarfile.ReadError("a header requests too much memory")
        return header


_EXTENSIONS: Final = (
    *(tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE),
    *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK),
)


def _refuse(fault: str) -> None:
    raise DataError(f"{fault}; refused")


def _tar_members(
    file: IO[bytes], where: str, refuse: Callable[[str], None] = _refuse
) -> Iterator[Member]:
    with _one_error(where):
        tar = tarfile.TarFile(fileobj=file, tarinfo=_StrictHeader)
    with tar:
        while True:
            with _one_error(f"{where}, byte {tar.offset:,}"):
                info = tar.next()
            if info is None:
                return
            # tarfile would keep all members in memory.
            cast(Any, tar).members.clear()
            fault = _fault(info.name, info.isdir())
            if not fault and not info.isdir() and (not info.isreg() or info.issparse()):
                fault = "is a link or a device"
            if fault:
                refuse(f"{where}: {info.name[:100]!r} {fault}")
            elif info.isreg():
                stream = cast(Callable[[], IO[bytes]], partial(tar.extractfile, info))
                name = info.name
                yield Member(f"{where}: {name}", name, info.size, stream, info.offset_data)


def _zip_members(file: IO[bytes], where: str) -> Iterator[Member]:
    with _one_error(where):
        archive = zipfile.ZipFile(file)
    with archive:
        for info in archive.infolist():
            # filename is truncated at a NUL character, orig_filename is not.
            fault = _fault(info.orig_filename, info.is_dir())
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                fault = "is a link or a device"
            if fault:
                _refuse(f"{where}: {info.orig_filename[:100]!r} {fault}")
            if not info.is_dir():
                name = info.filename
                stream = partial(archive.open, info)
                yield Member(f"{where}: {name}", name, info.file_size, stream)


def _fault(name: str, is_folder: bool) -> str | None:
    """Return why a member's name is not a plain path below the archive's root, or None."""
    parts = name.split("/")
    is_empty = not is_folder and not PurePosixPath(name).parts
    if is_empty or any(ord(character) < 32 for character in name):
        return "is empty or contains control characters"
    if name.startswith("/"):
        return "is an absolute path"
    if "\\" in name or re.match(r"[A-Za-z]:", name):
        return "is a Windows path"
    if ".." in parts:
        return "leads out of the folder"
    sizes = [len(part.encode("utf-8", "surrogateescape")) for part in parts]
    if max(sizes) > _LONGEST_PART or sum(sizes) > _LONGEST:
        return f"is too long ({max(sizes)} bytes in one part)"
    return None


@contextmanager
def _one_error(where: str) -> Iterator[None]:
    """Convert exceptions on a damaged archive to DataError."""
    try:
        yield
    except _FAULTS as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{where}: cannot be read: {reason}; get the archive again") from error
