"""A folder that one process at a time writes to."""

import fcntl
import json
import os
import socket
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from wsol.errors import ConfigError

NAME = ".wsol-lock"

_held: set[int] = set()
"""Descriptors of this process's locks."""


class Hold:
    """A folder that is this process's own until it is released or the process ends.

    The system takes the lock back however the process ends, so there is nothing to clean up after
    a kill. Processes that are forked from this one do not keep it.

    Args:
        folder: to be written; it exists.

    Raises:
        ConfigError: another process holds the folder, which is named; or it cannot be written.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with Hold(Path(folder)):
    ...         [path.name for path in Path(folder).iterdir()]
    ...     list(Path(folder).iterdir())
    ['.wsol-lock']
    []
    """

    def __init__(self, folder: Path) -> None:
        """Take the lock, or say who has it."""
        self.path = folder / NAME
        self._lock: int | None = None
        try:
            while self._lock is None:
                self._lock = self._take()
            me = json.dumps({"process": os.getpid(), "host": socket.gethostname()})
            os.ftruncate(self._lock, 0)
            os.pwrite(self._lock, me.encode(), 0)
        except OSError as error:
            self.release()
            raise ConfigError(
                f"{folder}: cannot be written: {error.strerror}; choose another --out"
            ) from error

    def _take(self) -> int | None:
        """Return the locked file, or None where its last holder has just removed it."""
        lock = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = _holder(lock)
            os.close(lock)
            raise ConfigError(_refusal(self.path.parent, holder)) from error
        except OSError:
            os.close(lock)
            raise
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(lock), self.path.stat()):
                _held.add(lock)
                return lock
        os.close(lock)
        return None

    def release(self) -> None:
        """Give the folder back; once is enough."""
        lock, self._lock = self._lock, None
        if lock in _held:
            _held.remove(lock)
            self.path.unlink(missing_ok=True)
            os.close(lock)

    def __del__(self) -> None:
        """Give the folder back with the last reference."""
        self.release()

    def __enter__(self) -> "Hold":
        """Return the hold."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give the folder back."""
        self.release()


def check_free(folder: Path) -> None:
    """Refuse a folder that a process holds, without holding it.

    Raises:
        ConfigError: a process holds the folder, which is named.

    >>> check_free(Path("no such folder"))
    """
    try:
        lock = os.open(folder / NAME, os.O_RDONLY)
    except OSError:
        # Nobody has it; whether it can be written shows when it is.
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise ConfigError(_refusal(folder, _holder(lock))) from error
    finally:
        os.close(lock)


def _holder(lock: int) -> str:
    try:
        found = json.loads(os.pread(lock, 1000, 0))
        return f"process {int(found['process'])} on {str(found['host'])!r}"
    except (OSError, ValueError, LookupError, TypeError):
        return "another process"


def _refusal(folder: Path, holder: str) -> str:
    return f"{folder}: is being written by {holder}: wait for its end, or choose another --out"


def _let_go() -> None:
    """Leave the locks to the process that this one was forked from."""
    for lock in _held:
        os.close(lock)
    _held.clear()


os.register_at_fork(after_in_child=_let_go)
