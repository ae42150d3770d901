"""The folder that a command writes to."""

from pathlib import Path

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
    probe = folder / ".wsol-probe"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise ConfigError(
            f"{folder}: cannot be written: {error.strerror}; choose another --out"
        ) from error
