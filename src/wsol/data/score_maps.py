"""Files of score maps: matching with images, and loading."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from threading import Lock
from typing import Final, NamedTuple

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from wsol.data.file_index import find_files
from wsol.data.images import MAX_PIXELS, open_image
from wsol.data.names import ends, image_stem, map_names
from wsol.errors import DataError, ImageError

MAP_SUFFIXES: Final = (".npy", ".png")

_parsing = Lock()
"""Lock for the parsing of headers: numpy uses ``ast.literal_eval``, whose recursion counter CPython
3.11 shares between threads, and then raises SystemError for a valid file."""


class FoundMaps(NamedTuple):
    """Files of score maps, matched with images.

    Attributes:
        files: Path of each image's map below the folder, None if it is missing.
        extra: Paths of maps that match no image.
    """

    files: tuple[str | None, ...]
    extra: tuple[str, ...]


def find_score_maps(root: Path | str, ids: Sequence[str]) -> FoundMaps:
    """Find the score map of each image in a folder.

    The map of `crow/a.jpg` is `crow/a.npy`, `crow/a.jpg.npy`, or, if no other image matches,
    `a.npy` or `a.jpg.npy`; the suffix may also be `.png`.

    Args:
        root: Folder to search at any depth; links are handled as in `find_files`.
        ids: Name of each image, with forward slashes.

    Raises:
        DataError: If the folder has no maps, a map matches more than one image, or an image has
            more than one map.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     for name in ("a.npy", "c.png"):
    ...         Path(folder, name).touch()
    ...     find_score_maps(folder, ["crow/a.jpg", "crow/b.jpg"])
    FoundMaps(files=('a.npy', None), extra=('c.png',))
    """
    root = Path(root)
    if not root.is_dir():
        raise DataError(f"{root}: no such folder; set --maps to a folder of score maps")
    names = find_files(root, MAP_SUFFIXES)
    if not names:
        raise DataError(
            f"{root}: no score maps found; use a folder of {' or '.join(MAP_SUFFIXES)} files"
        )
    index_of = _index_of(ids)
    files: list[str | None] = [None] * len(ids)
    extra = []
    for name in names:
        key = name[: name.rindex(".")]
        if key not in index_of:
            extra.append(name)
            continue
        index = index_of[key]
        if index is None:
            raise DataError(f"{root / name}: matches more than one image; use a longer path")
        if files[index] is not None:
            raise DataError(
                f"{root}: {ids[index]!r} has two maps, {files[index]!r} and {name!r}; remove one"
            )
        files[index] = name
    return FoundMaps(tuple(files), tuple(extra))


def load_score_map(path: Path | str, max_pixels: int = MAX_PIXELS) -> NDArray[np.floating]:
    """Load a score map.

    Args:
        path: `.npy` file with a real array (H, W), or gray 8-bit or 16-bit PNG, whose levels are
            divided by 255 or 65535.
        max_pixels: Pixel limit, height times width; it is checked before the data are read.

    Returns:
        (H, W) array of float32, or of float64 if the file has a higher precision than float32.

    Raises:
        ImageError: If the file is missing, truncated, or not a score map.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "a.npy")
    ...     np.save(file, np.array([[1, 2]], np.uint8))
    ...     load_score_map(file)
    array([[1., 2.]], dtype=float32)
    """
    path = Path(path)
    if path.suffix.lower() == ".png":
        return _load_png(path, max_pixels)
    # numpy raises many builtin exceptions on damaged headers.
    try:
        return _load_npy(path, max_pixels)
    except ImageError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ImageError(path, f"cannot be read as .npy: {reason}") from error


def usual_shape(paths: Iterable[Path], max_pixels: int = MAX_PIXELS) -> tuple[int, int] | None:
    """Return height and width of the first readable score map, or None."""
    for path in paths:
        try:
            height, width = load_score_map(path, max_pixels).shape
        except ImageError:
            continue
        return height, width
    return None


def _index_of(ids: Sequence[str]) -> dict[str, int | None]:
    """Map possible names of score maps without suffix to images; to None if ambiguous."""
    by_end: dict[str, int | None] = {}
    by_stem: dict[str, int | None] = {}
    for index, name in enumerate(ids):
        stem = image_stem(name)
        for end in {*ends(name), *ends(stem)}:
            by_end[end] = index if by_end.get(end, index) == index else None
        by_stem[stem] = index if by_stem.get(stem, index) == index else None
    # Full paths take precedence over ends of other paths.
    found = by_end | by_stem | {name: index for index, name in enumerate(ids)}
    for index, name in enumerate(ids):
        for form in map_names(name):
            found.setdefault(form, index)
    return found


def _load_npy(path: Path, max_pixels: int) -> NDArray[np.floating]:
    # Not np.load(), which allocates the size in the header before it checks the file size.
    with path.open("rb") as file:
        version = npy.read_magic(file)
        read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        with _parsing:
            shape, in_columns, dtype = read_header(file)
        if dtype.kind not in "fiub":
            raise ImageError(path, f"contains {dtype}; use an array of numbers")
        if len(shape) != 2:
            raise ImageError(path, f"has the shape {shape}; use (height, width)")
        if not 0 < shape[0] * shape[1] <= max_pixels:
            size = f"{shape[0]} x {shape[1]}"
            raise ImageError(path, f"{size} pixels are empty or exceed the limit of {max_pixels:,}")
        expected = shape[0] * shape[1] * dtype.itemsize
        present = path.stat().st_size - file.tell()
        if present < expected:
            raise ImageError(path, f"is truncated: {present} of {expected} bytes of data")
        data = file.read(expected)
    values = np.frombuffer(data, dtype).reshape(shape, order="F" if in_columns else "C")
    wide = np.result_type(dtype, np.float32) != np.float32
    return np.ascontiguousarray(values, dtype=np.float64 if wide else np.float32)


def _load_png(path: Path, max_pixels: int) -> NDArray[np.floating]:
    with open_image(path, max_pixels) as image:
        image.load()
        if image.mode != "L" and not image.mode.startswith("I"):
            raise ImageError(path, f"has the mode {image.mode}; use a gray PNG")
        white = 255 if image.mode == "L" else 65535
        return np.asarray(image, dtype=np.float32) / np.float32(white)
