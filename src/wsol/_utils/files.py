"""Atomic writes of files and folders, and locks of folders."""

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
from typing import Any, TypeVar

from wsol.errors import ConfigError

Result = TypeVar("Result")


def write_atomically(path: Path, write: Callable[[Path], object], *, sync: bool = True) -> None:
    """Write a file atomically: to a temporary file in the same folder, synced, then renamed.

    After a kill, the path holds either the old or the new content, never a partial file. Temporary
    files of killed processes are removed by the next write. ``write`` gets the temporary path. With
    ``sync=False``, for one of many files in a locked folder, the caller syncs at the end.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_atomically(Path(folder, "a.txt"), lambda part: part.write_text("whole"))
    ...     [(file.name, file.read_text()) for file in Path(folder).iterdir()]
    [('a.txt', 'whole')]
    """
    # Searching the folder for leftovers of other processes takes long for each of many files.
    part = _new_part(path) if sync else path.with_name(f".{path.name}.part")
    _remove(part)
    try:
        write(part)
        if sync:
            _sync(part)
        part.replace(path)
    finally:
        _remove(part)
    if sync:
        _sync(path.parent)


def _new_part(path: Path) -> Path:
    """Return the temporary path of a file or folder; those of killed processes are removed."""
    for left in path.parent.glob(f".{escape(path.name)}.*.part"):
        process = left.name.removeprefix(f".{path.name}.").removesuffix(".part")
        if process.isdecimal() and not _lives(int(process)):
            _remove(left)
    return path.with_name(f".{path.name}.{os.getpid()}.part")


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass
    return True


def _remove(path: Path) -> None:
    """Remove a file or folder if it exists."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file atomically."""
    text = json.dumps(content, indent=1) + "\n"
    write_atomically(path, lambda part: part.write_text(text, encoding="utf-8"))


def write_folder(folder: Path, write: Callable[[Path], Result]) -> Result:
    """Write a folder to a temporary name and rename it; an existing folder is replaced.

    A kill while writing leaves the old folder unchanged. Temporary folders of killed processes are
    removed by the next write, which also restores the old folder if the kill came between renames.
    ``write`` gets the empty temporary folder, and its result is returned.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as parent:
    ...     write_folder(Path(parent, "new"), lambda part: (part / "a.txt").write_text("whole"))
    ...     [path.name for path in Path(parent).rglob("*")]
    5
    ['new', 'a.txt']
    """
    part = new_folder(folder)
    try:
        result = write(part)
        replace_folder(folder, part)
    finally:
        _remove(part)
    return result


def new_folder(folder: Path) -> Path:
    """Create an empty temporary folder for `replace_folder`, which the caller removes."""
    folder = folder.absolute()
    folder.parent.mkdir(parents=True, exist_ok=True)
    old = _old(folder)
    if old.exists() and not folder.exists():
        old.rename(folder)
    _remove(old)
    part = _new_part(folder)
    _remove(part)
    part.mkdir()
    return part


def replace_folder(folder: Path, part: Path) -> None:
    """Replace a folder by its finished temporary folder, see `write_folder`."""
    old = _old(folder.absolute())
    if folder.exists():
        folder.rename(old)
    part.rename(folder)
    _remove(old)


def _old(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.old")


def make_folder(folder: Path) -> None:
    """Create the output folder, or raise ConfigError if it is not writable."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # A file without a name does not collide with the checks of other processes.
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ConfigError(
            f"{folder}: cannot be written: {error.strerror}; use another --out"
        ) from error


@contextmanager
def output_folder(folder: Path) -> Iterator[None]:
    """Create the output folder, and remove it at the end if it is new and empty.

    A command that fails early thus leaves no empty folder, which would be an empty class inside a
    data set.
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
"""Seconds to wait for a lock that its holder is about to remove."""

_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP}

log = logging.getLogger("wsol")

_held: set[int] = set()
"""File descriptors of the locks of this process."""


class HeldError(ConfigError):
    """Another process holds the lock of a folder."""


# The locks of the package filelock do not name their holder, and forked processes share them.
class FolderLock:
    """Lock of a folder, held until it is released or the process ends.

    The operating system releases the lock whenever the process ends, also after a kill. Forked
    processes do not inherit it. A shared lock only excludes those that are not. A folder may have
    locks of more than one name.

    Raises:
        HeldError: another process holds the lock; the message names it.
        ConfigError: the folder is not writable.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with FolderLock(Path(folder)):
    ...         [path.name for path in Path(folder).iterdir()]
    ...     list(Path(folder).iterdir())
    ['.wsol-lock']
    []
    """

    def __init__(self, folder: Path, name: str = NAME, *, shared: bool = False) -> None:
        """Acquire the lock, or raise an error that names its holder."""
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
                f"{folder}: cannot be written: {error.strerror}; use another --out"
            ) from error

    def _take(self) -> int | None:
        """Return the descriptor of the locked file, or None if its last holder just removed it."""
        lock = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        kind = (fcntl.LOCK_SH if self.shared else fcntl.LOCK_EX) | fcntl.LOCK_NB
        try:
            try:
                fcntl.flock(lock, kind)
            except BlockingIOError:
                # The last holder of a shared lock holds it exclusively while it removes it.
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
                "%s: its file system does not support locks; run one command at a time on it",
                self.path.parent,
            )
        if self._is_named(lock):
            _held.add(lock)
            return lock
        os.close(lock)
        return None

    def _is_named(self, lock: int) -> bool:
        """Return whether the path of the lock still refers to this file."""
        try:
            return os.path.samestat(os.fstat(lock), self.path.stat())
        except FileNotFoundError:
            return False

    def release(self) -> None:
        """Release the lock; further calls have no effect."""
        lock, self._lock = self._lock, None
        if lock in _held:
            _held.remove(lock)
            try:
                # If other processes share the lock, the file must stay.
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # The folder may have been moved meanwhile, and created again by another process.
                if self._is_named(lock):
                    self.path.unlink()
            except OSError:
                pass
            finally:
                os.close(lock)

    def __del__(self) -> None:
        """Release the lock with the last reference."""
        self.release()

    def __enter__(self) -> "FolderLock":
        """Return the lock."""
        return self

    def __exit__(self, *error: object) -> None:
        """Release the lock."""
        self.release()


def check_free(folder: Path) -> None:
    """Raise HeldError if a process holds the lock of a folder, without acquiring it."""
    try:
        lock = os.open(folder / NAME, os.O_RDONLY)
    except OSError:
        # There is no lock. Missing permissions are reported by the write itself.
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
    return f"{folder}: is being written by {lock_holder}; wait until it ends, or use another --out"


def _let_go() -> None:
    """Close the descriptors of the parent process's locks after a fork."""
    for lock in _held:
        os.close(lock)
    _held.clear()


os.register_at_fork(after_in_child=_let_go)
