"""Atomic writes of files and folders."""

import errno
import fcntl
import json
import logging
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path
from tempfile import TemporaryFile
from types import TracebackType
from typing import Any, TypeVar

from wsol.errors import ConfigError

Result = TypeVar("Result")


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file beside its place, make it durable, then move it there.

    Args:
        path: the file's place; its folder exists.
        write: writes the content to the path it is given.

    A kill at any moment leaves the old file or the new one, never a part under its name. What a
    killed process has left beside the file is removed when it is next written.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_atomically(Path(folder, "a.txt"), lambda part: part.write_text("whole"))
    ...     [(file.name, file.read_text()) for file in Path(folder).iterdir()]
    [('a.txt', 'whole')]
    """
    _remove_left_parts(path)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        write(part)
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _remove_left_parts(path: Path) -> None:
    """Remove what processes that no longer live have left of this file."""
    for part in path.parent.glob(f".{escape(path.name)}.*.part"):
        process = part.name.removeprefix(f".{path.name}.").removesuffix(".part")
        if process.isdecimal() and not _lives(int(process)):
            part.unlink(missing_ok=True)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file, whole or not at all."""
    text = json.dumps(content, indent=1) + "\n"
    write_atomically(path, lambda part: part.write_text(text, encoding="utf-8"))


def write_folder(folder: Path, write: Callable[[Path], Result]) -> Result:
    """Write a folder beside its place, then move it there; one that is there is replaced.

    Args:
        folder: the folder's place.
        write: writes the content to the empty folder it is given.

    Returns:
        What ``write`` returns.

    A kill while writing leaves the old folder as it was. What killed processes have left beside it
    is removed, or put back where it is the old folder.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as parent:
    ...     write_folder(Path(parent, "new"), lambda part: (part / "a.txt").write_text("whole"))
    ...     [path.name for path in Path(parent).rglob("*")]
    5
    ['new', 'a.txt']
    """
    folder = folder.absolute()
    folder.parent.mkdir(parents=True, exist_ok=True)
    old = folder.with_name(f".{folder.name}.old")
    if old.exists() and not folder.exists():
        old.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
    for left in folder.parent.glob(f".{escape(folder.name)}.*.part"):
        process = left.name.removeprefix(f".{folder.name}.").removesuffix(".part")
        if process.isdecimal() and not _lives(int(process)):
            shutil.rmtree(left)
    part = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    try:
        result = write(part)
        if folder.exists():
            folder.rename(old)
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)
    return result


def make_folder(folder: Path) -> None:
    """Make the output folder and try it, before any time is spent on the rest.

    Raises:
        ConfigError: it cannot be written.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as parent:
    ...     make_folder(Path(parent, "a/b"))
    ...     Path(parent, "a/b").is_dir()
    True
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Others may try it at the same moment.
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ConfigError(
            f"{folder}: cannot be written: {error.strerror}; choose another --out"
        ) from error


@contextmanager
def output_folder(folder: Path) -> Iterator[None]:
    """Make the output folder, and remove it at the end if it was made for this and is empty.

    A command that refuses an option later leaves no folder behind, which would be an empty class
    inside a data set.

    Raises:
        ConfigError: it cannot be written.
    """
    is_new = not folder.exists()
    make_folder(folder)
    try:
        yield
    finally:
        if is_new:
            with suppress(OSError):
                folder.rmdir()


NAME = ".wsol-lock"

_MOMENT = 0.1
"""Seconds after which a lock that is only about to be removed is gone."""

_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP}

log = logging.getLogger("wsol")

_held: set[int] = set()
"""Descriptors of this process's locks."""


class HeldError(ConfigError):
    """Another process holds a folder."""


class FolderLock:
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
    ...     with FolderLock(Path(folder)):
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
            lock_holder = _holder(lock)
            os.close(lock)
            raise HeldError(_refusal(self.path.parent, lock_holder)) from error
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

    def __enter__(self) -> "FolderLock":
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


def _refusal(folder: Path, lock_holder: str) -> str:
    return f"{folder}: is being written by {lock_holder}: wait for its end, or choose another --out"


def _let_go() -> None:
    """Leave the locks to the process that this one was forked from."""
    for lock in _held:
        os.close(lock)
    _held.clear()


os.register_at_fork(after_in_child=_let_go)
