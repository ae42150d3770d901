"""One archive to files below a folder, from where it was left."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

from wsol._utils.meter import Meters
from wsol.data.archives import Archive, Member
from wsol.data.preparation.extract import write_member
from wsol.data.preparation.state import State
from wsol.errors import DataError

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
    with Archive(archive) as opened:
        _write(archive, _metered(opened, meters), out, route)
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
    with Archive(archive) as opened:
        for inner in _metered(opened, meters):
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
