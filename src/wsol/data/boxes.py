"""Boxes from an annotation file, matched to images and checked."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from wsol.data.box_row import Box, BoxRow, box_fault
from wsol.data.coco_boxes import read_coco_boxes
from wsol.data.csv_boxes import read_csv_boxes
from wsol.data.names import index_by_end
from wsol.data.samples import Samples
from wsol.errors import AnnotationError, DataError

OnBad = Literal["fail", "skip"]

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
    path = Path(path)
    read = _READERS.get(path.suffix.lower())
    if read is None:
        raise DataError(f"{path}: boxes are read from {' or '.join(_READERS)} files")
    if not path.is_file():
        raise DataError(f"{path}: no such file of boxes")
    index_of = index_by_end(ids)
    # Dictionaries keep the order of the file and find a repeated box at once.
    found: list[dict[Box, None]] = [{} for _ in ids]
    for row in read(path):
        try:
            _place(path, row, index_of, class_names, found)
        except AnnotationError as error:
            if on_bad != "skip":
                raise
            _logger.warning("%s (row skipped)", error)
    return tuple(np.array(list(boxes), dtype=np.float64).reshape(-1, 4) for boxes in found)


def with_boxes(
    splits: Mapping[str, Samples], path: Path | str, on_bad: OnBad = "fail"
) -> dict[str, Samples]:
    r"""Give all splits of a data set their boxes from one file.

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
    class_names = [
        samples.classes[label] for samples in splits.values() for label in samples.labels
    ]
    boxes = iter(read_boxes(path, ids, class_names, on_bad))
    return {
        name: replace(samples, boxes=tuple(islice(boxes, len(samples))))
        for name, samples in splits.items()
    }


def _place(
    path: Path,
    row: BoxRow | AnnotationError,
    index_of: Mapping[str, int | None],
    class_names: Sequence[str],
    found: Sequence[dict[Box, None]],
) -> None:
    """Add a row to the boxes of its image, or raise what is wrong with it."""
    if isinstance(row, AnnotationError):
        raise row

    def bad(reason: str) -> AnnotationError:
        return AnnotationError(path, row.line, row.item + reason)

    if row.image not in index_of:
        raise bad(f"unknown image {row.image!r}")
    index = index_of[row.image]
    if index is None:
        raise bad(f"several images end in {row.image!r}; give more of the path")
    if row.class_name != class_names[index]:
        raise bad(f"class {row.class_name!r}, but the image is of class {class_names[index]!r}")
    fault = box_fault(row.box)
    if fault:
        raise bad(fault)
    if row.box in found[index]:
        raise bad(f"repeats an earlier box of {row.image!r}")
    found[index][row.box] = None
