"""Resumable extraction of archives, with a check of the free disk space."""

import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from wsol._utils.files import FolderLock, make_folder, write_atomically, write_json
from wsol._utils.progress import Meters
from wsol.data.archives import Archive, Member
from wsol.errors import DataError

_MARGIN: Final = 1.03
"""Factor for the overhead of file systems with many small files."""


def write_member(path: Path, content: bytes) -> None:
    """Write a file atomically, unless it exists with this content.

    The file is not synced to disk, which would take hours for a million files: see `State.finish`.

    Args:
        path: Path of the file; parent folders are created.
        content: Content of the file.

    Raises:
        DataError: If the file cannot be written.

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
        write_atomically(path, lambda part: part.write_bytes(content), sync=False)
    except OSError as error:
        raise DataError(
            f"{path}: cannot be written: {error.strerror}; fix this, and run the same command to "
            "resume"
        ) from error


def check_disk_space(folder: Path, needed: int) -> None:
    """Raise an error if there is too little free disk space.

    Args:
        folder: Output folder, which may not exist yet.
        needed: Number of bytes to write.

    Raises:
        DataError: If fewer bytes are free.

    >>> check_disk_space(Path("no such folder"), 0)
    """
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if needed * _MARGIN > free:
        raise DataError(
            f"{folder}: needs {needed * _MARGIN / 1e9:,.1f} GB, and {free / 1e9:,.1f} GB are free; "
            "free disk space, or use another --out"
        )


def bytes_below(folder: Path) -> int:
    """Return the total size of all files below a folder, 0 if it does not exist.

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
LOCK: Final = ".prepare.lock"


class State:
    """Records finished archives and parts of archives, and locks the output folder.

    Archives are identified by size and modification time, so a changed archive is extracted again.

    Args:
        out: Output folder, which is created.

    Raises:
        ConfigError: If the folder is not writable, or another process prepares it.

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
        """Store the path of the file, which is read on entering."""
        self.path = out / NAME
        self._archives: dict[str, dict[str, Any]] = {}

    def __enter__(self) -> "State":
        """Lock the folder, and read the record."""
        make_folder(self.path.parent)
        self._lock = FolderLock(self.path.parent, LOCK)
        self._archives = _read(self.path)
        return self

    def __exit__(self, *error: object) -> None:
        """Release the lock."""
        self._lock.release()

    def is_finished(self, archive: Path, part: str = "") -> bool:
        """Return whether an archive, or a part of it, is finished."""
        return part in self._of(archive)

    def begin(self, archive: Path) -> None:
        """Record an archive that will be extracted."""
        self._note(archive, self._of(archive))

    def finish(self, archive: Path, part: str = "") -> None:
        """Record that an archive, or a part of it, is finished, after syncing to disk."""
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
    """Return the names of the unfinished archives of a prepared folder.

    >>> unfinished(Path("no such folder"))
    []
    """
    return [name for name, entry in _read(out / NAME).items() if "" not in entry["finished"]]


def _print_of(archive: Path) -> dict[str, int]:
    try:
        status = archive.stat()
    except OSError as error:
        raise DataError(f"{archive}: {error.strerror}; use the path of the archive") from error
    return {"size": status.st_size, "changed": status.st_mtime_ns}


def _read(path: Path) -> dict[str, dict[str, Any]]:
    """Return the record; empty if it is not valid, so that all archives are extracted again."""
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
"""Function that returns the output path of a member, or None to skip it."""

_logger = logging.getLogger("wsol")


def unpack(archive: Path, out: Path, route: Route, state: State, meters: Meters) -> None:
    """Extract the required files of an archive, unless it is finished.

    Args:
        archive: Path of the archive.
        out: Output folder.
        route: Function that returns the output path of a member.
        state: Record of finished archives, which is updated at the end.
        meters: Progress meters.

    Raises:
        DataError: If the archive is damaged, has an unsafe member or two members with the same
            output path, or a file cannot be written.
    """
    if state.is_finished(archive):
        return
    state.begin(archive)
    with Archive(archive) as loaded:
        _write(archive, _metered(loaded, meters), out, route)
    state.finish(archive)


def unpack_nested(archive: Path, out: Path, route: Route, state: State, meters: Meters) -> None:
    """Extract the files of nested archives, each of which is recorded when it is finished.

    Args:
        archive: Path of a tar file of tar files.
        out: Output folder.
        route: Function that returns the output path of a member `inner/member`.
        state: Record of finished archives.
        meters: Progress meters.

    Raises:
        DataError: See `unpack`; also if a member is not a tar file.
    """
    if state.is_finished(archive):
        return
    state.begin(archive)
    seen: set[str] = set()
    with Archive(archive) as loaded:
        for inner in _metered(loaded, meters):
            if inner.name in seen:
                raise DataError(f"{inner.where}: occurs twice; get the archive again")
            seen.add(inner.name)
            if not inner.name.endswith(".tar"):
                raise DataError(f"{inner.where}: not a tar file; use an archive of tar files")
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
    skipped = 0
    for member in members:
        place = route(member)
        if place is None:
            skipped += 1
            continue
        if place in written:
            raise DataError(f"{member.where}: duplicate of {place}; get the archive again")
        written.add(place)
        write_member(out / place, member.read())
    if not written:
        raise DataError(f"{archive}: contains no expected files; use the right archive")
    if skipped:
        _logger.info("%s: left out %d files that are not needed", archive, skipped)


def _metered(archive: Archive, meters: Meters) -> Iterator[Member]:
    """Yield the members, and show the progress."""
    with meters(f"unpack {archive.path.name}", archive.size) as meter:
        done = 0
        for member in archive.members():
            yield member
            meter.advance(archive.position() - done)
            done = archive.position()
