"""The one way files are found beneath a folder."""

import logging
import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final

from wsol.data.flat_names import Names
from wsol.errors import DataError

IMAGE_SUFFIXES: Final = frozenset(
    {
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".png",
        ".webp",
        ".gif",
        ".bmp",
        ".tif",
        ".tiff",
        ".ppm",
        ".pgm",
        ".pbm",
        ".pnm",
        ".pfm",
    }
)
"""What image files' names end in, in lower case."""

_logger = logging.getLogger("wsol")


def find_files(
    root: Path | str, suffixes: Collection[str], *, follow_links: bool = False
) -> list[str]:
    """List the files beneath a folder that have one of some suffixes, in any case.

    Hidden files and folders are left out. Links to folders, and links to files outside `root`,
    are skipped with a line on the logger "wsol" unless `follow_links`; a link to a folder that
    contains it is never followed. Nothing is opened.

    Args:
        root: The folder to look in; may itself be a link.
        suffixes: What names may end in, in lower case, with the dot.
        follow_links: Whether to follow symbolic links.

    Returns:
        Sorted paths relative to `root`, with forward slashes.

    Raises:
        DataError: If `root` or a folder beneath it cannot be listed.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     Path(folder, "cat").mkdir()
    ...     for name in ("cat/b.NPY", "a.npy", "notes.txt", ".hidden.npy"):
    ...         Path(folder, name).touch()
    ...     find_files(folder, {".npy"})
    ['a.npy', 'cat/b.NPY']
    """
    return list(index_files(root, suffixes, follow_links=follow_links))


def index_files(
    root: Path | str, suffixes: Collection[str], *, follow_links: bool = False
) -> Names:
    """Return what `find_files` lists, in flat memory: millions of files are no load.

    Args:
        root: The folder to look in; may itself be a link.
        suffixes: What names may end in, in lower case, with the dot.
        follow_links: Whether to follow symbolic links.

    Raises:
        DataError: If `root` or a folder beneath it cannot be listed.
    """
    return Names(_walk(os.path.realpath(root), suffixes, follow_links)).sorted()


def _walk(tree: str, suffixes: Collection[str], follow_links: bool) -> Iterator[str]:
    # Each folder with the path it is known by and the real folders it lies in.
    todo: list[tuple[str, str, tuple[str, ...]]] = [(tree, "", (tree,))]
    while todo:
        folder, prefix, above = todo.pop()
        for entry in _visible(folder):
            name, is_link = prefix + entry.name, entry.is_symlink()
            target = Path(os.path.realpath(entry.path)) if is_link else entry
            real, is_folder = os.fspath(target), target.is_dir()
            if not is_folder and Path(name).suffix.lower() not in suffixes:
                continue
            if is_link and not follow_links and (is_folder or not _lies_in(tree, real)):
                _logger.warning("%r is a link to %r and was skipped", entry.path, real)
            elif real in above:
                _logger.warning("%r leads back to %r and was skipped", entry.path, real)
            elif is_folder:
                todo.append((real, name + "/", (*above, real)))
            elif target.is_file():
                yield name
            else:
                _logger.warning("%r is not a regular file and was skipped", entry.path)


def _visible(folder: str) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            yield from (entry for entry in entries if not entry.name.startswith("."))
    except OSError as error:
        raise DataError(f"{folder}: {error.strerror}") from error


def _lies_in(tree: str, real: str) -> bool:
    return Path(real).is_relative_to(tree)
