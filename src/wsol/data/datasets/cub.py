"""Reader of CUB-200-2011 (Wah et al., 2011) and partial copies of it in the original layout."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np

from wsol.data.annotations.types import Box, BoxAnnotations, box_fault, read_lines
from wsol.data.images import find_images
from wsol.data.samples import Samples
from wsol.errors import AnnotationError, DataError

_logger = logging.getLogger("wsol")

Value = TypeVar("Value")


def is_cub(root: Path | str) -> bool:
    """Return whether a folder has the layout of CUB-200-2011."""
    return Path(root, "images.txt").is_file() and Path(root, "images").is_dir()


def read_cub(root: Path | str, *, follow_links: bool = False) -> dict[str, Samples]:
    r"""Read CUB-200-2011 or a part of it, with one box per image.

    Listed images that do not exist are left out with a log message. Classes without images are left
    out, and the remaining ones are renumbered.

    Args:
        root: Folder with `images/`, `images.txt`, `classes.txt`, `image_class_labels.txt`,
            `train_test_split.txt` and `bounding_boxes.txt` (x, y, width, height in pixels).
        follow_links: Whether to follow symbolic links, see `find_images`.

    Returns:
        The splits `train` and `test`, if they have images.

    Raises:
        AnnotationError: If a line cannot be used or is missing.
        DataError: If a file is missing or no listed image exists.

    >>> from tempfile import TemporaryDirectory
    >>> files = {
    ...     "images/9.Wren/a.jpg": "", "images.txt": "1 9.Wren/a.jpg\n2 9.Wren/b.jpg\n",
    ...     "classes.txt": "9 9.Wren\n", "image_class_labels.txt": "1 9\n2 9\n",
    ...     "train_test_split.txt": "1 1\n2 0\n", "bounding_boxes.txt": "1 10 20 30 40\n",
    ... }
    >>> with TemporaryDirectory() as folder:
    ...     Path(folder, "images/9.Wren").mkdir(parents=True)
    ...     _ = [Path(folder, name).write_text(text) for name, text in files.items()]
    ...     splits = read_cub(folder)
    >>> splits["train"].ids, splits["train"].boxes, list(splits)
    (('9.Wren/a.jpg',), (array([[10., 20., 40., 60.]]),), ['train'])
    """
    root = Path(root)
    names = _Table(root / "images.txt", str)
    class_of = _Table(root / "image_class_labels.txt", int)
    in_train = _Table(root / "train_test_split.txt", _flag)
    box_of = _Table(root / "bounding_boxes.txt", _box)
    class_names = _Table(root / "classes.txt", str)
    # Search from the root, so that a link `images` is checked like other links.
    existing = set(find_images(root, follow_links=follow_links))
    present = [key for key, name in names.items() if f"images/{name}" in existing]
    if not present:
        raise DataError(
            f"{root / 'images'}: contains none of the images in images.txt; use the folder of "
            "CUB-200-2011"
        )
    if len(present) < len(names):
        missing = len(names) - len(present)
        _logger.warning("%s: %d listed images are missing", root / "images", missing)
    kept = sorted({class_of[key] for key in present})
    everything = Samples(
        root / "images",
        tuple(names[key] for key in present),
        np.searchsorted(kept, [class_of[key] for key in present]),
        tuple(class_names[key] for key in kept),
        tuple(np.array([box_of[key]], dtype=np.float64) for key in present),
    )
    train = np.array([in_train[key] for key in present])
    chosen = {"train": np.flatnonzero(train), "test": np.flatnonzero(~train)}
    return {name: everything.select(where) for name, where in chosen.items() if len(where)}


class _Table(dict[int, Value]):
    """Values of a file of lines that begin with an id; errors contain the path.

    `parse` converts the rest of a line to a value, or raises ValueError.
    """

    def __init__(self, path: Path, parse: Callable[[str], Value]) -> None:
        self.path = path
        for number, line in read_lines(path):
            try:
                first, rest = line.strip().split(maxsplit=1)
                key, value = int(first), parse(rest)
            except ValueError as error:
                raise AnnotationError(path, number, f"cannot read {line!r}: {error}") from error
            if key in self:
                raise AnnotationError(path, number, f"id {key} occurs twice")
            self[key] = value

    def __missing__(self, key: int) -> Value:
        raise AnnotationError(self.path, None, f"has no line for id {key}")


def _flag(text: str) -> bool:
    if text not in ("0", "1"):
        raise ValueError(f"expected 1 for training or 0 for test, not {text!r}")
    return text == "1"


def _box(text: str) -> Box:
    x, y, width, height = map(float, text.split())
    box = x, y, x + width, y + height
    fault = box_fault(box)
    if fault:
        raise ValueError(fault)
    return box


def read_cub_annotations(root: Path) -> BoxAnnotations:
    """Read the test images of CUB-200-2011 or a part of it, with one box per image.

    Some boxes end a pixel outside the image. They are not changed, as in the evaluation of runs.

    Raises:
        AnnotationError: If a line cannot be used or is missing.
        DataError: If a file is missing or no test image exists.
    """
    test = read_cub(root).get("test")
    if test is None or test.boxes is None:
        raise DataError(f"{root}: no test images found; use a data set with a test split")
    return BoxAnnotations(
        root,
        test.ids,
        tuple(test.classes[label] for label in test.labels),
        test.boxes,
        tuple(test.path(index) for index in range(len(test))),
    )
