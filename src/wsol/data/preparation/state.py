"""What of a preparation is finished, in a small file beside the data."""

import fcntl
import json
import os
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from wsol._utils.files import write_json
from wsol.errors import DataError

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
