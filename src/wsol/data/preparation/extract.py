"""Extraction of archives, which can be resumed and checks the free space."""

import fcntl
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from wsol._utils.files import write_json
from wsol._utils.progress import Meters
from wsol.data.archives import Archive, Member
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


NAME: Final = ".prepare.json"


class State:
    """Notes which archives, and which parts of one, are finished; one process at a time.

    An archive is known by its size and time of change, so another one is unpacked anew.

    Args:
        out: The folder that is prepared; it is made.

    Raises:
        DataError: If it cannot be written, or another process is preparing it.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     archive = Path(folder, "train.tar")
    ...     _ = archive.write_bytes(b"data")
    ...     with State(Path(folder, "out")) as state:
    ...         state.finish(archive, "crow.tar")
    ...     with State(Path(folder, "out")) as state:
    ...         state.is_finished(archive, "crow.tar"), state.is_finished(archive, "wren.tar")
    (True, False)
    """

    def __init__(self, out: Path) -> None:
        """Name the file; it is read on entering."""
        self.path = out / NAME
        self._archives: dict[str, dict[str, Any]] = {}

    def __enter__(self) -> "State":
        """Lock the folder and read what is finished."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self.path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise DataError(
                f"{self.path.parent}: cannot be written: {error.strerror}; choose another --out"
            ) from error
        try:
            # The system takes it back when the process ends, however that happens.
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._lock)
            raise DataError(
                f"{self.path.parent}: another process is preparing this folder; wait for its end"
            ) from error
        self._archives = _read(self.path)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give the folder back."""
        os.close(self._lock)

    def is_finished(self, archive: Path, part: str = "") -> bool:
        """Return whether a part of an archive, by default all of it, was finished before."""
        return part in self._of(archive)

    def begin(self, archive: Path) -> None:
        """Note an archive that is to be unpacked."""
        self._note(archive, self._of(archive))

    def finish(self, archive: Path, part: str = "") -> None:
        """Note a part of an archive, by default all of it, once what it holds is on the disk."""
        os.sync()
        self._note(archive, list(dict.fromkeys([*self._of(archive), part])))

    def _note(self, archive: Path, finished: list[str]) -> None:
        self._archives[archive.name] = {**_print_of(archive), "finished": finished}
        write_json(self.path, {"archives": self._archives})

    def _of(self, archive: Path) -> list[str]:
        known = self._archives.get(archive.name, {})
        same = {key: known.get(key) for key in ("size", "changed")} == _print_of(archive)
        return list(known["finished"]) if same else []


def unfinished(out: Path) -> list[str]:
    """Return the names of the archives that a folder's preparation has not finished.

    >>> unfinished(Path("no such folder"))
    []
    """
    return [name for name, entry in _read(out / NAME).items() if "" not in entry["finished"]]


def _print_of(archive: Path) -> dict[str, int]:
    try:
        status = archive.stat()
    except OSError as error:
        raise DataError(f"{archive}: {error.strerror}; give the archive's path") from error
    return {"size": status.st_size, "changed": status.st_mtime_ns}


def _read(path: Path) -> dict[str, dict[str, Any]]:
    """Return the notes; without sound ones everything is compared with the archives again."""
    try:
        archives = json.loads(path.read_text(encoding="utf-8"))["archives"]
        sound = {
            name: entry
            for name, entry in archives.items()
            if isinstance(entry.get("finished"), list)
        }
    except (OSError, ValueError, LookupError, AttributeError, TypeError):
        return {}
    return sound


Route = Callable[[Member], str | None]
"""From a member to its path below the folder, or None where it is not wanted."""

_logger = logging.getLogger("wsol")


def unpack(archive: Path, out: Path, route: Route, state: State, meters: Meters) -> None:
    """Write the wanted files of an archive, unless that is finished already.

    Args:
        archive: The file.
        out: The folder that all is written below.
        route: Says where a member belongs.
        state: What is finished; the archive is noted at the end.
        meters: Show the progress.

    Raises:
        DataError: If the archive is damaged, has a member that is refused or two for one place,
            or a file cannot be written.
    """
    if state.is_finished(archive):
        return
    state.begin(archive)
    with Archive(archive) as loaded:
        _write(archive, _metered(loaded, meters), out, route)
    state.finish(archive)


def unpack_nested(archive: Path, out: Path, route: Route, state: State, meters: Meters) -> None:
    """Write the files of the archives in an archive, each of which is noted when it is finished.

    Args:
        archive: A tar file of tar files.
        out: The folder that all is written below.
        route: Says where a member of an inner archive belongs, given as `inner/member`.
        state: What is finished.
        meters: Show the progress.

    Raises:
        DataError: As `unpack` does, or if a member is no tar file.
    """
    if state.is_finished(archive):
        return
    state.begin(archive)
    seen: set[str] = set()
    with Archive(archive) as loaded:
        for inner in _metered(loaded, meters):
            if inner.name in seen:
                raise DataError(f"{inner.where}: comes twice; get the archive again")
            seen.add(inner.name)
            if not inner.name.endswith(".tar"):
                raise DataError(f"{inner.where}: is no tar file; the archive is of another kind")
            if state.is_finished(archive, inner.name):
                continue
            folder = inner.name.removesuffix(".tar")
            members = (
                Member(member.where, f"{folder}/{member.name}", member.size, member.stream)
                for member in inner.members()
            )
            _write(archive, members, out, route)
            state.finish(archive, inner.name)
    state.finish(archive)


def _write(archive: Path, members: Iterator[Member], out: Path, route: Route) -> None:
    written: set[str] = set()
    unwanted = 0
    for member in members:
        place = route(member)
        if place is None:
            unwanted += 1
            continue
        if place in written:
            raise DataError(f"{member.where}: a second file for {place}; refused")
        written.add(place)
        write_member(out / place, member.read())
    if not written:
        raise DataError(f"{archive}: has nothing of what is expected; is it another archive?")
    if unwanted:
        _logger.info("%s: %d files are not needed and were left out", archive, unwanted)


def _metered(archive: Archive, meters: Meters) -> Iterator[Member]:
    """Yield the members, counting how far the file has been read."""
    with meters(f"unpack {archive.path.name}", archive.size) as meter:
        done = 0
        for member in archive.members():
            yield member
            meter.advance(archive.position() - done)
            done = archive.position()
