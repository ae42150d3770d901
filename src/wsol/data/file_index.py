"""The one way files are found beneath a folder."""

import logging
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from wsol.data.flat_names import Names
from wsol.data.outputs import is_output_folder
from wsol.errors import DataError

HEIF_SUFFIXES: Final = frozenset({".heic", ".heif", ".hif"})
"""Suffixes of images that the extra heif reads."""

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
        ".mpo",
        ".apng",
        ".avif",
        ".avifs",
        ".jp2",
        ".j2k",
        ".jpf",
        ".jpx",
        ".j2c",
        ".jpc",
    }
    | (HEIF_SUFFIXES if find_spec("pillow_heif") else set())
)
"""Suffixes of image files that are read, in lower case."""

OTHER_SUFFIXES: Final = (
    frozenset(
        {
            *HEIF_SUFFIXES,
            *(".jxl", ".tga", ".psd", ".svg", ".ico", ".exr", ".hdr", ".jxr", ".eps", ".dds"),
            *(".dib", ".pcx", ".xcf", ".icns", ".heics", ".nrw", ".pef", ".srw"),
            *(".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf", ".raw", ".dcm"),
        }
    )
    - IMAGE_SUFFIXES
)
"""Suffixes of images that are not read; they are counted and named when they are left out."""

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
    root: Path | str,
    suffixes: Collection[str],
    *,
    follow_links: bool = False,
    inputs_only: bool = False,
    passed_over: Callable[[str], None] = lambda path: None,
) -> Names:
    """Return what `find_files` lists, in flat memory: millions of files are no load.

    Args:
        root: The folder to look in; may itself be a link.
        suffixes: What names may end in, in lower case, with the dot.
        follow_links: Whether to follow symbolic links.
        inputs_only: Whether to skip folders below `root` that wsol has written (see `is_output`),
            with a line in the log.
        passed_over: Takes the path of each visible file with another suffix.

    Raises:
        DataError: If `root` or a folder beneath it cannot be listed.
    """
    tree = os.path.realpath(root)
    return Names(_walk(tree, suffixes, follow_links, inputs_only, passed_over)).sorted()


def list_folders(root: Path) -> list[Path]:
    """Return the visible folders directly in a folder, sorted, without those that wsol has written.

    Args:
        root: An existing folder.

    Raises:
        DataError: If it cannot be listed.
    """
    folders = (Path(entry.path) for entry in _visible(os.fspath(root)) if entry.is_dir())
    return [folder for folder in sorted(folders) if not is_output_folder(folder)]


class LeftOut:
    """Count the images of kinds that are not read, and say so in one line.

    >>> found = LeftOut()
    >>> for name in ("a.HEIC", "b.jxl", "c.jxl", "notes.txt"):
    ...     found.add(name)
    >>> found.text() is not None
    True
    """

    def __init__(self) -> None:
        """Start with none."""
        self._counts: Counter[str] = Counter()

    def add(self, path: str, *, is_image: bool = False) -> None:
        """Count a file, if it is an image.

        Args:
            path: Of a file that is left out.
            is_image: Whether its content begins as an image does; otherwise its suffix decides.
        """
        suffix = Path(path).suffix.lower()
        if is_image or suffix in OTHER_SUFFIXES:
            self._counts[suffix or "without a suffix"] += 1

    def text(self) -> str | None:
        """Return how many were left out, by suffix, and what to do; None where there are none."""
        if not self._counts:
            return None
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(self._counts.items()))
        hint = "convert them to JPEG or PNG"
        if self._counts.keys() & HEIF_SUFFIXES:
            hint = f'pip install "wsol[heif]" to read HEIC, or {hint}'
        elif self._counts.keys() == {"without a suffix"}:
            hint = "add the suffix to their names"
        return f"images of kinds that are not read were left out: {kinds}; {hint}"

    def log(self, root: Path | str) -> None:
        """Write that line on the logger "wsol".

        Args:
            root: The folder that was looked through.
        """
        text = self.text()
        if text:
            _logger.warning("%s: %s", root, text)


def _walk(
    tree: str,
    suffixes: Collection[str],
    follow_links: bool,
    inputs_only: bool,
    passed_over: Callable[[str], None],
) -> Iterator[str]:
    # Each folder with the path it is known by and the real folders it lies in.
    todo: list[tuple[str, str, tuple[str, ...]]] = [(tree, "", (tree,))]
    while todo:
        folder, prefix, above = todo.pop()
        if inputs_only and prefix and is_output_folder(Path(folder)):
            _logger.warning("%r was written by wsol and was skipped", folder)
            continue
        for entry in _visible(folder):
            name, is_link = prefix + entry.name, entry.is_symlink()
            target = Path(os.path.realpath(entry.path)) if is_link else entry
            real, is_folder = os.fspath(target), target.is_dir()
            if not is_folder and Path(name).suffix.lower() not in suffixes:
                passed_over(entry.path)
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
