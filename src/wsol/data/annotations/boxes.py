"""Boxes of an annotation file, matched with images and validated."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wsol._utils.names import unescape_name
from wsol.data.annotations.csv import is_voc, is_yolo, read_box_file
from wsol.data.annotations.matching import match_rows
from wsol.data.annotations.types import Box, BoxRow, OnBad, Size, box_fault
from wsol.data.images import read_image_size
from wsol.data.names import ImageNames
from wsol.data.samples import Samples
from wsol.errors import AnnotationError, ImageError, did_you_mean

_logger = logging.getLogger("wsol")


def read_boxes(
    path: Path | str, ids: Sequence[str], class_names: Sequence[str], on_bad: OnBad = "fail"
) -> tuple[NDArray[np.float64], ...]:
    r"""Read the boxes of images from a file or folder of any format.

    Image names are matched by `ImageNames`. Boxes are never clipped. A row is bad if

    - it is malformed, not finite, empty, swapped, or negative by more than a pixel,
    - it repeats another row,
    - its name matches no image or more than one,
    - its class is not that of the image.

    The right and lower edges are only checked by `with_boxes`, which reads the images.

    Args:
        path: Boxes, see `read_box_file`. YOLO labels need the images.
        ids: Path of each image, with forward slashes.
        class_names: Class of each image, in the order of `ids`.
        on_bad: Whether a bad row raises an error or is skipped with a log message. A file that
            cannot be read as a whole always raises an error.

    Returns:
        Per image (k, 4) `x0 y0 x1 y1` in pixels of the image as displayed, in the order of the
        file; (0, 4) for an image without a row.

    Raises:
        AnnotationError: If a row, or the file as a whole, cannot be used.
        DataError: If the file does not exist or its format is unknown.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "boxes.csv")
    ...     _ = file.write_text("image,class,x0,y0,x1,y1\ncrow/a.jpg,crow,1,2,30,40\n")
    ...     boxes = read_boxes(file, ["test/crow/a.jpg", "test/crow/b.jpg"], ["crow", "crow"])
    >>> boxes[0].tolist(), boxes[1].shape
    ([[1.0, 2.0, 30.0, 40.0]], (0, 4))
    """
    own = {name: (name,) for name in class_names}
    boxes = _Boxes(ids, [own[name] for name in class_names])
    return tuple(map(_array, boxes.read(Path(path), on_bad)))


def find_boxes(root: Path) -> Path | None:
    """Return `boxes.csv`, otherwise `boxes.json` in the folder of a data set, or None.

    Folders with boxes in other formats are only logged, as their classes may differ from those of
    the images.
    """
    files = (root / name for name in ("boxes.csv", "boxes.json"))
    found = next((file for file in files if file.is_file()), None)
    for folder in map(root.joinpath, ("Annotations", "labels") if found is None else ()):
        if folder.is_dir() and (is_voc(folder) or is_yolo(folder)):
            _logger.info("%s: not used; set --boxes %s to use its boxes", folder, folder)
    return found


def with_boxes(
    splits: Mapping[str, Samples], path: Path | str, on_bad: OnBad = "fail"
) -> dict[str, Samples]:
    """Return all splits of a data set with boxes from a file or folder, see `read_box_file`.

    Existing boxes are replaced. A box of a multi-label image may have any of the image's classes. A
    row is bad as in `read_boxes`, and if its box ends more than a pixel outside the image, whose
    header is read. Rows that match no image are reported in a single message.

    Raises:
        AnnotationError: If a row, or the file as a whole, cannot be used.
        DataError: If the file does not exist or its format is unknown.
    """
    ids = [name for samples in splits.values() for name in samples.ids]
    allowed, known = [], None
    for samples in splits.values():
        names = [(name,) for name in samples.classes]
        if samples.is_multi_label:
            known = samples.classes
            sets = (samples.labels_of(index) for index in range(len(samples)))
            allowed += [tuple(samples.classes[label] for label in own) for own in sets]
        else:
            allowed += [names[label] for label in samples.labels]
    paths = [path for samples in splits.values() for path in samples.paths()]
    found = iter(_Boxes(ids, allowed, known, paths).read(Path(path), on_bad))
    return {name: _boxed(samples, islice(found, len(samples))) for name, samples in splits.items()}


def _boxed(samples: Samples, found: Iterable[list[BoxRow]]) -> Samples:
    """Return samples with the boxes of their images."""
    rows = list(found)
    boxes = tuple(map(_array, rows))
    if not samples.is_multi_label:
        return replace(samples, boxes=boxes, box_labels=None)
    number = {name: label for label, name in enumerate(samples.classes)}
    labels = tuple(np.array([number[row.class_name] for row in of], np.int64) for of in rows)
    return replace(samples, boxes=boxes, box_labels=labels)


def _array(rows: list[BoxRow]) -> NDArray[np.float64]:
    return np.array([row.box for row in rows], np.float64).reshape(-1, 4)


class _Boxes:
    """Checks of the rows of a file or folder of boxes.

    Args:
        ids: Path of each image, with forward slashes.
        allowed: Allowed classes of the boxes of each image.
        known: Names of all classes, to report unknown classes separately.
        paths: Paths of the images; None: their sizes are unknown.
    """

    def __init__(
        self,
        ids: Sequence[str],
        allowed: Sequence[tuple[str, ...]],
        known: Sequence[str] | None = None,
        paths: Sequence[Path] | None = None,
    ) -> None:
        self.names, self.allowed, self.known = ImageNames(ids), allowed, known
        self.paths = paths
        self.known_sizes: dict[tuple[int, bool], Size | None] = {}
        self.seen: set[tuple[int, str, Box]] = set()
        self.resized: dict[int, BoxRow] = {}

    def read(self, path: Path, on_bad: OnBad) -> list[list[BoxRow]]:
        """Return the rows of each image.

        Raises:
            AnnotationError: If a row, or the file as a whole, cannot be used.
        """
        rows = (row for row in read_box_file(path) if isinstance(row, BoxRow | AnnotationError))
        matched = match_rows(rows, self.names, check=self._checked, on_bad=on_bad)
        if self.resized:
            index, row = next(iter(self.resized.items()))
            reason = (
                f"has size {row.size} for {row.image!r}, whose actual size is "
                f"{self._size(index)} ({len(self.resized)} images in total)"
            )
            _logger.warning("%s; using boxes as pixels of the actual images", row.bad(reason))
        matched.refuse_unknown(on_bad)
        return [matched.of_image.get(index, []) for index in range(len(self.names.ids))]

    def _checked(self, row: BoxRow, index: int, earlier: object) -> BoxRow:
        """Return a row with its box in pixels, or raise its error."""
        if row.class_name not in self.allowed[index]:
            # Exports of wsol escape class names.
            row = replace(row, class_name=unescape_name(row.class_name))
        if self.known is not None and row.class_name not in self.known:
            near = did_you_mean(row.class_name, self.known)
            raise row.bad(f"no class {row.class_name!r}; {near}")
        if row.class_name not in self.allowed[index]:
            own = " and ".join(map(repr, self.allowed[index]))
            raise row.bad(f"class {row.class_name!r}, but the image is of class {own}")
        row = self._in_pixels(row, index)
        if (index, row.class_name, row.box) in self.seen:
            raise row.bad(f"repeats an earlier box of {row.image!r}")
        self.seen.add((index, row.class_name, row.box))
        return row

    def _in_pixels(self, row: BoxRow, index: int) -> BoxRow:
        if row.is_relative:
            size = self._size(index)
            if size is None:
                # The value does not matter, as an unreadable image counts as wrong anyway.
                return row
            row = row.in_pixels(size)
        else:
            size = self._size(index, header_only=True)
        fault = box_fault(row.box, size)
        if fault or row.size not in (None, size):
            size = self._size(index)
            fault = box_fault(row.box, size)
            if size and row.size not in (None, size):
                self.resized.setdefault(index, row)
        if fault:
            raise row.bad(fault)
        return row

    def _size(self, index: int, *, header_only: bool = False) -> Size | None:
        """Return the size of an image as displayed, or None if it is unknown.

        The size in the header of a PNG without orientation there may be swapped, as the image is
        not decoded. The error of an unreadable image is raised when the image itself is loaded.
        """
        if self.paths is None or not (header_only or self._size(index, header_only=True)):
            return None
        key = index, header_only
        if key not in self.known_sizes:
            try:
                self.known_sizes[key] = read_image_size(self.paths[index], header_only=header_only)
            except ImageError:
                self.known_sizes[key] = None
        return self.known_sizes[key]
