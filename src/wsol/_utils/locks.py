"""A folder that one process at a time writes to."""

import errno
import fcntl
import json
import logging
import os
import socket
import time
from pathlib import Path
from types import TracebackType

from wsol.errors import ConfigError

NAME = ".wsol-lock"

_MOMENT = 0.1
"""Seconds after which a lock that is only about to be removed is gone."""

_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP}

log = logging.getLogger("wsol")

_held: set[int] = set()
"""Descriptors of this process's locks."""


class HeldError(ConfigError):
    """Another process holds a folder."""


class Hold:
    """A folder that is this process's own until it is released or the process ends.

    The system takes the lock back however the process ends, so there is nothing to clean up after
    a kill. Processes that are forked from this one do not keep it.

    Args:
        folder: to be written; it exists.
        name: of the lock, where a folder has several.
        shared: with other processes that hold it so.

    Raises:
        HeldError: another process holds the folder, which is named.
        ConfigError: the folder cannot be written.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with Hold(Path(folder)):
    ...         [path.name for path in Path(folder).iterdir()]
    ...     list(Path(folder).iterdir())
    ['.wsol-lock']
    []
    """

    def __init__(self, folder: Path, name: str = NAME, *, shared: bool = False) -> None:
        """Take the lock, or say who has it."""
        self.path, self.shared = folder / name, shared
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
        kind = (fcntl.LOCK_SH if self.shared else fcntl.LOCK_EX) | fcntl.LOCK_NB
        try:
            try:
                fcntl.flock(lock, kind)
            except BlockingIOError:
                # The last of those who share it has it alone while it removes it.
                time.sleep(_MOMENT)
                fcntl.flock(lock, kind)
        except BlockingIOError as error:
            holder = _holder(lock)
            os.close(lock)
            raise HeldError(_refusal(self.path.parent, holder)) from error
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                os.close(lock)
                raise
            log.warning(
                "%s: its file system has no locks: let one process at a time write there",
                self.path.parent,
            )
        if self._is_named(lock):
            _held.add(lock)
            return lock
        os.close(lock)
        return None

    def _is_named(self, lock: int) -> bool:
        """Return whether the folder still has the file by the lock's name."""
        try:
            return os.path.samestat(os.fstat(lock), self.path.stat())
        except FileNotFoundError:
            return False

    def release(self) -> None:
        """Give the folder back; once is enough."""
        lock, self._lock = self._lock, None
        if lock in _held:
            _held.remove(lock)
            try:
                # Others may hold it too, and then its name must stay.
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # The folder may have been moved meanwhile, and made anew by another process.
                if self._is_named(lock):
                    self.path.unlink()
            except OSError:
                pass
            finally:
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
        HeldError: a process holds the folder, which is named.

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
        raise HeldError(_refusal(folder, _holder(lock))) from error
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
