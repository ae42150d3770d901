"""Boxes from an annotation file, matched to images and checked."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from wsol.data.box_row import Box, BoxRow, OnBad, box_fault
from wsol.data.coco_boxes import read_coco_boxes
from wsol.data.csv_boxes import read_csv_boxes
from wsol.data.names import index_by_end, listed_name
from wsol.data.samples import Samples
from wsol.errors import AnnotationError, DataError, did_you_mean

_Found = dict[tuple[str, Box], None]
"""Class and box of an image's rows: a dictionary keeps the order and finds a repeated one."""

_READERS: Final[dict[str, Callable[[Path], Iterator[BoxRow | AnnotationError]]]] = {
    ".csv": read_csv_boxes,
    ".json": read_coco_boxes,
}

_logger = logging.getLogger("wsol")


def read_boxes(
    path: Path | str, ids: Sequence[str], class_names: Sequence[str], on_bad: OnBad = "fail"
) -> tuple[NDArray[np.float64], ...]:
    r"""Read the boxes of images from a CSV or a COCO file.

    An image is named by its id or by the end of it, from a slash on, where that fits one id
    only. A box is never clipped: a row is bad if it is malformed, not finite, empty, swapped or
    negative, repeats another, names no image or several, or a class other than the image's. The
    right and lower edges are not checked, as that would need the images.

    Args:
        path: File of suffix `.csv` (see `read_csv_boxes`) or `.json` (see `read_coco_boxes`).
        ids: Path of each image, with forward slashes.
        class_names: Class of each image, in the order of `ids`.
        on_bad: Whether a bad row ends the reading or is skipped, with a line on the logger
            "wsol". A file that cannot be read as a whole always ends it.

    Returns:
        Per image (k, 4) `x0 y0 x1 y1` in pixels of the image as displayed, in the order of the
        file; (0, 4) for an image without a row.

    Raises:
        AnnotationError: If a row, or the file as a whole, cannot be used.
        DataError: If there is no such file or its suffix is unknown.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "boxes.csv")
    ...     _ = file.write_text("image,class,x0,y0,x1,y1\ncrow/a.jpg,crow,1,2,30,40\n")
    ...     boxes = read_boxes(file, ["test/crow/a.jpg", "test/crow/b.jpg"], ["crow", "crow"])
    >>> boxes[0].tolist(), boxes[1].shape
    ([[1.0, 2.0, 30.0, 40.0]], (0, 4))
    """
    own = {name: (name,) for name in class_names}
    found = _read(Path(path), ids, [own[name] for name in class_names], None, on_bad)
    return tuple(_boxes(of_image) for of_image in found)


def find_boxes(root: Path) -> Path | None:
    """Return the file of boxes that a data set has of its own.

    Args:
        root: Folder of the data set.

    Returns:
        Its `boxes.csv`, or else its `boxes.json`, or None.

    >>> find_boxes(Path("no such folder"))
    """
    files = (root / name for name in ("boxes.csv", "boxes.json"))
    return next((file for file in files if file.is_file()), None)


def with_boxes(
    splits: Mapping[str, Samples], path: Path | str, on_bad: OnBad = "fail"
) -> dict[str, Samples]:
    r"""Give all splits of a data set their boxes from one file.

    Where images have several labels, a box may be of any of its image's, and keeps its class.

    Args:
        splits: The splits, by name; boxes they have are replaced.
        path: File of boxes for any of the images, see `read_boxes`.
        on_bad: Whether a bad row ends the reading or is skipped with a line in the log.

    Returns:
        The same splits with boxes.

    Raises:
        AnnotationError: If a row, or the file as a whole, cannot be used.
        DataError: If there is no such file or its suffix is unknown.

    >>> from tempfile import TemporaryDirectory
    >>> train = Samples(Path("birds"), ("a.jpg",), np.array([0]), ("crow",))
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "boxes.csv")
    ...     _ = file.write_text("image,class,x0,y0,x1,y1\na.jpg,crow,1,2,30,40\n")
    ...     with_boxes({"train": train}, file)["train"].boxes
    (array([[ 1.,  2., 30., 40.]]),)
    """
    ids = [name for samples in splits.values() for name in samples.ids]
    allowed, known = [], None
    for samples in splits.values():
        names = [(name,) for name in samples.classes]
        if samples.has_several_labels:
            known = samples.classes
            sets = (samples.labels_of(index) for index in range(len(samples)))
            allowed += [tuple(samples.classes[label] for label in own) for own in sets]
        else:
            allowed += [names[label] for label in samples.labels]
    found = iter(_read(Path(path), ids, allowed, known, on_bad))
    return {name: _boxed(samples, islice(found, len(samples))) for name, samples in splits.items()}


def _boxed(samples: Samples, found: Iterable[_Found]) -> Samples:
    """Return samples with the boxes found for their images."""
    rows = tuple(found)
    boxes = tuple(map(_boxes, rows))
    if not samples.has_several_labels:
        return replace(samples, boxes=boxes, box_labels=None)
    number = {name: label for label, name in enumerate(samples.classes)}
    labels = tuple(np.array([number[name] for name, _ in of], dtype=np.int64) for of in rows)
    return replace(samples, boxes=boxes, box_labels=labels)


def _boxes(found: _Found) -> NDArray[np.float64]:
    return np.array([box for _, box in found], dtype=np.float64).reshape(-1, 4)


def _read(
    path: Path,
    ids: Sequence[str],
    allowed: Sequence[tuple[str, ...]],
    known: Sequence[str] | None,
    on_bad: OnBad,
) -> list[_Found]:
    """Return the boxes of each image, of the classes that it allows.

    With `known`, the names of all classes, one that is none of them is told apart.
    """
    read = _READERS.get(path.suffix.lower())
    if read is None:
        raise DataError(f"{path}: boxes are read from {' or '.join(_READERS)} files")
    if not path.is_file():
        raise DataError(f"{path}: no such file of boxes")
    index_of = index_by_end(ids)
    found: list[_Found] = [{} for _ in ids]
    for row in read(path):
        try:
            _place(path, row, index_of, allowed, known, found)
        except AnnotationError as error:
            if on_bad != "skip":
                raise
            _logger.warning("%s (row skipped)", error)
    return found


def _place(
    path: Path,
    row: BoxRow | AnnotationError,
    index_of: Mapping[str, int | None],
    allowed: Sequence[tuple[str, ...]],
    known: Sequence[str] | None,
    found: Sequence[_Found],
) -> None:
    """Add a row to the boxes of its image, or raise what is wrong with it."""
    if isinstance(row, AnnotationError):
        raise row

    def bad(reason: str) -> AnnotationError:
        return AnnotationError(path, row.line, row.item + reason)

    name = listed_name(row.image, index_of)
    if name not in index_of:
        raise bad(f"unknown image {row.image!r}")
    index = index_of[name]
    if index is None:
        raise bad(f"several images end in {row.image!r}; give more of the path")
    if known is not None and row.class_name not in known:
        raise bad(f"no class {row.class_name!r}: {did_you_mean(row.class_name, known)}")
    if row.class_name not in allowed[index]:
        own = " and ".join(map(repr, allowed[index]))
        raise bad(f"class {row.class_name!r}, but the image is of class {own}")
    fault = box_fault(row.box)
    if fault:
        raise bad(fault)
    if (row.class_name, row.box) in found[index]:
        raise bad(f"repeats an earlier box of {row.image!r}")
    found[index][row.class_name, row.box] = None
