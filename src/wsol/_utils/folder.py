"""The folder that a command writes to."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile

from wsol.errors import ConfigError


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
