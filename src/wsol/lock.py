"""Folders that one process at a time writes to."""

import errno
import fcntl
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wsol.errors import ConfigError

log = logging.getLogger("wsol")

_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL}


class HeldError(ConfigError):
    """Another process holds a lock."""


@contextmanager
def hold(file: Path, *, shared: bool = False) -> Iterator[None]:
    """Hold a lock while the block runs; the system takes it back when the process dies.

    Args:
        file: of the lock; its folder exists. It says who holds it, and stays. A process holds
            it once.
        shared: with others that hold it so.

    Raises:
        HeldError: another process holds it.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with hold(Path(folder, "lock")):
    ...         Path(folder, "lock").read_text().startswith("process ")
    True
    """
    with file.open("a+", encoding="utf-8") as lock:
        try:
            # Unlike flock's, this lock is not handed down to worker processes, which may live on.
            fcntl.lockf(lock, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError) as error:
            lock.seek(0)
            holder = lock.read(200).strip() or "another process"
            raise HeldError(
                f"{file.parent}: {holder} is writing here: wait for it, or choose another folder"
            ) from error
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            log.warning(
                "%s: this file system has no locks: see to it that one process alone writes there",
                file.parent,
            )
        lock.truncate(0)
        lock.write(f"process {os.getpid()} on {socket.gethostname()}")
        lock.flush()
        yield
