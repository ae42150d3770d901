"""Search for files below a folder, and compact sequences of names."""

import hashlib
import logging
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Final, TypeVar, overload

import pyarrow as pa
import pyarrow.compute as pc

from wsol.errors import DataError

File = TypeVar("File")

_MARKS: Final[tuple[tuple[str, ...], ...]] = (
    # The output folder of a running command, see wsol._utils.files.
    (".wsol-lock",),
    # A run, and an unfinished training or distillation.
    ("model.json", "model.safetensors"),
    ("config.yaml", "checkpoints"),
    ("metrics.csv", "metrics.jsonl"),
    # A prediction, and its store.
    ("localizations/job.json",),
    ("localizations/info.json",),
    ("job.json", "chunk-000000.parquet"),
    ("info.json", "chunk-000000.parquet"),
    # An unfinished annotation.
    ("annotate.yaml", "rounds"),
    # A report, a comparison, an evaluation of score maps, and the demo.
    ("index.html", "data/index.js"),
    ("compare.json", "compare.csv"),
    ("metrics.json", "images.csv", "curve.csv"),
    ("data/boxes.csv", "cam/config.yaml", "adl/config.yaml"),
    # Packed data sets, and formats with more than one file.
    ("index.parquet", "train-000000.tar"),
    ("index.parquet", "test-000000.tar"),
    ("annotations.json", "predictions.json"),
    ("predictions.parquet",),
)
"""Files of each kind of output folder, all of which must exist."""

_STARTS: Final = {
    "images.csv": b'"image_id","file","status","error"',
    "predictions.csv": b'"image_id","width","height","status"',
    "config.yaml": b"data: ",
}
"""First bytes of files with common names that mark an output folder."""

_OVERLAYS: Final = "overlays"
"""Subfolder of a prediction or the demo, which has no file that marks it."""


def is_output(exists: Callable[[str], bool], start: Callable[[str], bytes]) -> bool:
    """Return whether wsol has written a folder, such as a run, prediction, report or export.

    ``exists`` tells of a path below the folder, ``start`` returns the first bytes of a file in it.
    """
    return any(all(map(exists, names)) for names in _MARKS) or any(
        exists(name) and start(name).startswith(mark) for name, mark in _STARTS.items()
    )


def is_output_folder(folder: Path) -> bool:
    """Return whether wsol has written a local folder, see `is_output`."""
    if folder.name == _OVERLAYS and is_output_folder(folder.parent):
        return True
    return is_output(lambda name: _exists(folder / name), lambda name: _start(folder / name))


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        # The folder is not accessible; listing it raises the error.
        return False


def _start(file: Path) -> bytes:
    try:
        with file.open("rb") as content:
            return content.read(64)
    except OSError:
        return b""


_CHUNK = 16_384


class Names(Sequence[str]):
    """Sequence of file names in a single buffer, with a third of the memory of a list of ``str``.

    Forked processes share the buffer, unlike Python objects, whose reference counts change. Names
    that are not UTF-8 are as from ``os.fsdecode``.

    >>> names = Names(["b.jpg", "a.jpg"])
    >>> names[0], list(names.sorted()), len(names)
    ('b.jpg', ['a.jpg', 'b.jpg'], 2)
    """

    def __init__(self, names: Iterable[str]) -> None:
        """Store the names, in chunks."""
        rest, chunks = iter(names), [pa.array([], pa.large_binary())]
        while some := [os.fsencode(name) for name in islice(rest, _CHUNK)]:
            chunks.append(pa.array(some, pa.large_binary()))
        self._values = pa.concat_arrays(chunks)

    def __len__(self) -> int:
        """Return the number of names."""
        return len(self._values)

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> "Names": ...

    def __getitem__(self, index: int | slice) -> "str | Names":
        """Return a name, or a slice of the names without copying."""
        if isinstance(index, slice):
            return _names_of(self._values[index])
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        return os.fsdecode(self._values[index].as_py())

    def __iter__(self) -> Iterator[str]:
        """Yield all names."""
        for start in range(0, len(self), _CHUNK):
            for name in self._values[start : start + _CHUNK].to_pylist():
                yield os.fsdecode(name)

    def sorted(self) -> "Names":
        """Return the names, sorted by bytes."""
        return _names_of(self._values.take(pc.array_sort_indices(self._values)))

    def repeated(self) -> tuple[str, int] | None:
        """Return a name that occurs more than once with its count, or None."""
        ordered = self.sorted()._values
        same = pc.equal(ordered[1:], ordered[:-1])
        first = same.index(True).as_py()
        if first < 0:
            return None
        name = ordered[first]
        return os.fsdecode(name.as_py()), pc.equal(ordered, name).true_count

    def digest(self) -> str:
        """Return the SHA-256 of the names in their order, in hexadecimal."""
        digest = hashlib.sha256()
        for name in self:
            # File names cannot contain zero bytes.
            digest.update(os.fsencode(name) + b"\0")
        return digest.hexdigest()


def _names_of(values: pa.LargeBinaryArray) -> Names:
    names = Names(())
    names._values = values
    return names


class NamedFiles(Sequence[File]):
    """Sequence of files, such as paths, which ``file_of`` creates from their names on access.

    >>> paths = NamedFiles(Names(["a/1.jpg", "b.jpg"]), Path("photos").joinpath)
    >>> paths[0].as_posix(), len(paths)
    ('photos/a/1.jpg', 2)
    """

    def __init__(self, names: Sequence[str], file_of: Callable[[str], File]) -> None:
        """Store the arguments."""
        self.names, self.file_of = names, file_of

    def __len__(self) -> int:
        """Return the number of files."""
        return len(self.names)

    @overload
    def __getitem__(self, index: int) -> File: ...

    @overload
    def __getitem__(self, index: slice) -> "NamedFiles[File]": ...

    def __getitem__(self, index: int | slice) -> "File | NamedFiles[File]":
        """Return a file, or a slice of the files."""
        if isinstance(index, slice):
            return NamedFiles(self.names[index], self.file_of)
        return self.file_of(self.names[index])


HEIF_SUFFIXES: Final = frozenset({".heic", ".heif", ".hif"})
"""Suffixes of images that require the extra ``heif``."""

IMAGE_SUFFIXES: Final = frozenset(
    {
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"),
        *(".ppm", ".pgm", ".pbm", ".pnm", ".pfm", ".mpo", ".apng", ".avif", ".avifs"),
        *(".jp2", ".j2k", ".jpf", ".jpx", ".j2c", ".jpc"),
        *(HEIF_SUFFIXES if find_spec("pillow_heif") else ()),
    }
)
"""Suffixes of supported image files, in lower case."""

OTHER_SUFFIXES: Final = (
    frozenset(
        {
            *(".jxl", ".tga", ".psd", ".svg", ".ico", ".exr", ".hdr", ".jxr", ".eps", ".dds"),
            *(".dib", ".pcx", ".xcf", ".icns", ".heics", ".nrw", ".pef", ".srw"),
            *(".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf", ".raw", ".dcm"),
            *HEIF_SUFFIXES,
        }
    )
    - IMAGE_SUFFIXES
)
"""Suffixes of unsupported image files, which are counted and logged when they are left out."""

_logger = logging.getLogger("wsol")


def find_files(
    root: Path | str, suffixes: Collection[str], *, follow_links: bool = False
) -> list[str]:
    """Return the files of `index_files` as a list.

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
    """Return the sorted paths of the files below a folder with certain suffixes, ignoring case.

    Hidden files and folders are left out. Links to folders, and links to files outside `root`,
    are skipped with a log message unless `follow_links`; a link to a folder that contains it is
    never followed. No file is opened.

    Args:
        root: Folder to search; may be a link.
        suffixes: File name suffixes, in lower case, with the dot.
        follow_links: Whether to follow symbolic links.
        inputs_only: Whether to skip folders below `root` that wsol has written (see `is_output`),
            with a log message.
        passed_over: Function that gets the path of each visible file with another suffix.

    Raises:
        DataError: If `root` or a folder below it cannot be listed.
    """
    tree = os.path.realpath(root)
    return Names(_walk(tree, suffixes, follow_links, inputs_only, passed_over)).sorted()


def list_folders(root: Path) -> list[Path]:
    """Return the visible subfolders of a folder, sorted, without output folders of wsol."""
    folders = (Path(entry.path) for entry in _visible(os.fspath(root)) if entry.is_dir())
    return [folder for folder in sorted(folders) if not is_output_folder(folder)]


class LeftOut:
    """Counts images of unsupported formats by suffix, and logs one message about them."""

    def __init__(self) -> None:
        """Initialize the counts."""
        self._counts: Counter[str] = Counter()

    def add(self, path: str, *, is_image: bool = False) -> None:
        """Count a file that is left out, if its suffix or `is_image` says that it is an image."""
        suffix = Path(path).suffix.lower()
        if is_image or suffix in OTHER_SUFFIXES:
            self._counts[suffix or "without a suffix"] += 1

    def log(self, root: Path | str) -> None:
        """Log the counts in the searched folder and a fix, if there are such images."""
        if not self._counts:
            return
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(self._counts.items()))
        hint = "convert them to JPEG or PNG"
        if self._counts.keys() & HEIF_SUFFIXES:
            hint = f'pip install "wsol[heif]" to read HEIC, or {hint}'
        elif self._counts.keys() == {"without a suffix"}:
            hint = "add the suffix to their names"
        _logger.warning("%s: left out images of unsupported formats: %s; %s", root, kinds, hint)


def _walk(
    tree: str,
    suffixes: Collection[str],
    follow_links: bool,
    inputs_only: bool,
    passed_over: Callable[[str], None],
) -> Iterator[str]:
    # Each folder with its path prefix and the real paths of its parents.
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
