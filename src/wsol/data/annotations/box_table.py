"""Rows of boxes, gathered by image and checked."""

import logging
from pathlib import Path

import numpy as np

from wsol.data.annotations.annotations import BoxAnnotations
from wsol.data.box_row import Box, BoxRow, OnBad, Size, box_fault
from wsol.data.images import find_images
from wsol.data.names import index_by_end
from wsol.errors import AnnotationError, DataError

_logger = logging.getLogger("wsol")


class BoxTable:
    """Gathers the boxes of images in the order in which the images are first named.

    Args:
        path: The file, for messages.
        repeats: Whether the same box may come twice; it is kept once.
        on_bad: Whether a bad row is raised, or skipped with a line on the logger "wsol". Its image
            stays, where the row can be read.

    >>> table = BoxTable(Path("boxes.csv"))
    >>> table.add(BoxRow("a.jpg", "crow", (1.0, 2.0, 3.0, 4.0), line=2, size=(8, 6)))
    >>> table.annotations(images=None).ids
    ('a.jpg',)
    """

    def __init__(self, path: Path, *, repeats: bool = False, on_bad: OnBad = "fail") -> None:
        """Start without images."""
        self.path, self.repeats, self.on_bad = path, repeats, on_bad
        self.classes: dict[str, str | None] = {}
        self.sizes: dict[str, Size] = {}
        # Dictionaries keep the order of the file and find a repeated box at once.
        self.boxes: dict[str, dict[Box, None]] = {}

    def add_image(self, name: str, class_name: str | None, size: Size | None) -> None:
        """Add an image without boxes; what is None may become known by its boxes."""
        self.boxes[name] = {}
        self.classes[name] = class_name
        if size is not None:
            self.sizes[name] = size

    def add(self, row: BoxRow | AnnotationError) -> None:
        """Add a box to its image, which may be new.

        Args:
            row: The box; an empty class says nothing.

        Raises:
            AnnotationError: If the row is one, or does not fit what is known of the image.
        """
        try:
            self._add(row)
        except AnnotationError as error:
            if self.on_bad != "skip":
                raise
            _logger.warning("%s (row skipped)", error)

    def _add(self, row: BoxRow | AnnotationError) -> None:
        if isinstance(row, AnnotationError):
            raise row
        if row.image not in self.boxes:
            self.add_image(row.image, row.class_name or None, row.size)
        elif self.classes[row.image] is None:
            self.classes[row.image] = row.class_name or None
        fault = self._fault(row)
        if fault:
            raise AnnotationError(self.path, row.line, row.item + fault)
        self.boxes[row.image][row.box] = None

    def annotations(self, images: Path | None) -> BoxAnnotations:
        """Return what was gathered.

        Args:
            images: Folder of the pictures, for the sizes that the rows did not state.

        Raises:
            DataError: If there is no box, or the size of an image with boxes is not to be had.
        """
        if not any(self.boxes.values()):
            raise DataError(f"{self.path}: no image here has a box")
        boxes = [np.array(list(boxes), dtype=np.float64) for boxes in self.boxes.values()]
        pictures = self._pictures(images)
        return BoxAnnotations(
            self.path,
            tuple(self.boxes),
            tuple(self.classes.values()),
            tuple(box.reshape(-1, 4) for box in boxes),
            tuple(self.sizes.get(name) or pictures.get(name) for name in self.boxes),
        )

    def _fault(self, row: BoxRow) -> str | None:
        """Return what is wrong with a row whose image is known."""
        known, size = self.classes[row.image], self.sizes.get(row.image)
        if row.class_name and row.class_name != known:
            return (
                f"class {row.class_name!r}, but {row.image!r} is of class {known!r}: "
                "an image can be of one class only, as its score map is"
            )
        if row.size is not None and row.size != size:
            return f"{row.image!r} has another size here than before"
        if row.box in self.boxes[row.image] and not self.repeats:
            return f"repeats an earlier box of {row.image!r}"
        return box_fault(row.box, size)

    def _pictures(self, images: Path | None) -> dict[str, Path]:
        """Return the pictures of the images with boxes whose size is not known."""
        unsized = [name for name, boxes in self.boxes.items() if boxes and name not in self.sizes]
        if not unsized:
            return {}
        if images is None:
            raise DataError(
                f"{self.path}: does not say how large {unsized[0]!r} is: add its width and "
                "height, or give the folder of the pictures with --images"
            )
        files = find_images(images)
        index_of = index_by_end(files)
        found = {name: index_of.get(name) for name in unsized}
        lost = [name for name, index in found.items() if index is None]
        if lost:
            what = "several pictures for" if lost[0] in index_of else "no picture of"
            more = f" and {len(lost) - 1} more images" if len(lost) > 1 else ""
            raise DataError(f"{images}: {what} {lost[0]!r}{more}, named in {self.path}")
        return {name: images / files[index] for name, index in found.items() if index is not None}
