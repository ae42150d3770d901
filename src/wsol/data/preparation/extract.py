"""Resumable extraction of archives, with a check of the free disk space."""

import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from wsol._utils.files import FolderLock, make_folder, write_atomically, write_json
from wsol.data.archives import Member, read_archive
from wsol.errors import DataError

_MARGIN: Final = 1.03
"""Factor for the overhead of file systems with many small files."""


def write_member(path: Path, content: bytes) -> None:
    """Write a file and its folder atomically, unless it exists with this content.

    The file is not synced to disk, which would take hours for a million files: see `State.finish`.
    """
    try:
        exists = path.is_file() and not path.is_symlink()
        if exists and path.stat().st_size == len(content) and path.read_bytes() == content:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, lambda part: part.write_bytes(content), sync=False)
    except OSError as error:
        raise DataError(
            f"{path}: cannot be written: {error.strerror}; fix this, and run the same command to "
            "resume"
        ) from error


def check_disk_space(folder: Path, needed: int) -> None:
    """Raise DataError if a folder, which may not exist yet, has less space than needed bytes."""
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if needed * _MARGIN > free:
        raise DataError(
            f"{folder}: needs {needed * _MARGIN / 1e9:,.1f} GB, and {free / 1e9:,.1f} GB are free; "
            "free disk space, or use another --out"
        )


def bytes_below(folder: Path) -> int:
    """Return the total size of all files below a folder, 0 if it does not exist."""
    return sum(
        os.lstat(f"{where}/{name}").st_size for where, _, names in os.walk(folder) for name in names
    )


NAME: Final = ".prepare.json"
LOCK: Final = ".prepare.lock"


class State:
    """Records finished archives and parts of archives, and locks the output folder.

    Archives are identified by size and modification time, so a changed archive is extracted again.
    The output folder is created.

    Raises:
        ConfigError: If the folder is not writable, or another process prepares it.
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
    """Return the names of the unfinished archives of a prepared folder."""
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


def unpack(archive: Path, out: Path, route: Route, state: State) -> None:
    """Extract the required files of an archive, unless it is finished.

    Raises:
        DataError: If the archive is damaged, has an unsafe member or two members with the same
            output path, or a file cannot be written.
    """
    if not state.is_finished(archive):
        state.begin(archive)
        _write(archive, read_archive(archive, "unpack"), out, route)
        state.finish(archive)


def unpack_nested(archive: Path, out: Path, route: Route, state: State) -> None:
    """Extract the files of a tar file of tar files, each of which is recorded when it is finished.

    The route gets members named `inner/member`.

    Raises:
        DataError: See `unpack`; also if a member is not a tar file.
    """
    if state.is_finished(archive):
        return
    state.begin(archive)
    seen: set[str] = set()
    for inner in read_archive(archive, "unpack"):
        if inner.name in seen:
            raise DataError(f"{inner.where}: occurs twice; get the archive again")
        seen.add(inner.name)
        if not inner.name.endswith(".tar"):
            raise DataError(f"{inner.where}: not a tar file; use an archive of tar files")
        if state.is_finished(archive, inner.name):
            continue
        folder = inner.name.removesuffix(".tar")
        members = (replace(each, name=f"{folder}/{each.name}") for each in inner.members())
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
