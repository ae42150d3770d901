"""Atomic writes of files and folders."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path
from tempfile import TemporaryFile
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
