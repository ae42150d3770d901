"""Ground-truth boxes for score maps, collected by image and validated."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from wsol.data.annotations.csv import is_yolo, read_box_file
from wsol.data.annotations.matching import match_rows, refuse
from wsol.data.annotations.types import (
    Box,
    BoxAnnotations,
    BoxRow,
    ImageRow,
    OnBad,
    Row,
    Size,
    box_fault,
)
from wsol.data.annotations.yolo import yolo_images
from wsol.data.images import find_images, read_image_size
from wsol.data.names import ImageNames
from wsol.errors import AnnotationError, DataError, ImageError


class BoxTable:
    """Collects the boxes of images, in the order of their first row.

    `path` is for messages. With `repeats`, duplicate boxes are allowed, and kept once. The image of
    a readable bad row that is skipped is kept.
    """

    def __init__(self, path: Path, *, repeats: bool = False, on_bad: OnBad = "fail") -> None:
        """Create an empty table."""
        self.path, self.repeats, self.on_bad = path, repeats, on_bad
        self.classes: dict[str, str | None] = {}
        self.sizes: dict[str, Size] = {}
        # Dictionaries preserve the order of the file and detect duplicates.
        self.boxes: dict[str, dict[Box, BoxRow]] = {}

    def add_image(self, name: str, class_name: str | None, size: Size | None) -> None:
        """Add an image without boxes; class and size may be set later by its boxes."""
        self.boxes[name] = {}
        self.classes[name] = class_name
        if size is not None:
            self.sizes[name] = size

    def add(self, row: Row) -> None:
        """Add an image, or a box and its image; an empty class is ignored.

        Raises:
            AnnotationError: If the row is an error, or inconsistent with other rows of the image.
        """
        if isinstance(row, AnnotationError):
            refuse(row, self.on_bad)
            return
        if row.image not in self.boxes:
            self.add_image(row.image, None, row.size)
        if not isinstance(row, BoxRow):
            return
        if self.classes[row.image] is None:
            self.classes[row.image] = row.class_name or None
        fault = self._fault(row)
        if fault:
            refuse(row.bad(fault), self.on_bad)
        else:
            self.boxes[row.image][row.box] = row

    def annotations(self, images: Path | None) -> BoxAnnotations:
        """Return the annotations, with sizes that are not in the rows from a folder of images.

        Raises:
            AnnotationError: If a box ends outside its image.
            DataError: If there are no boxes, or the size of an image with boxes is unknown.
        """
        found = self._images(images)
        self._check_ends(found)
        if not any(self.boxes.values()):
            raise DataError(f"{self.path}: no image has a box; use annotations with boxes")
        boxes = [np.array(list(boxes), dtype=np.float64) for boxes in self.boxes.values()]
        return BoxAnnotations(
            self.path,
            tuple(self.boxes),
            tuple(self.classes.values()),
            tuple(box.reshape(-1, 4) for box in boxes),
            tuple(self.sizes.get(name) or found.get(name) for name in self.boxes),
        )

    def _fault(self, row: BoxRow) -> str | None:
        """Return the fault of a row, or None."""
        known, size = self.classes[row.image], self.sizes.get(row.image)
        if row.class_name and row.class_name != known:
            return (
                f"class {row.class_name!r}, but {row.image!r} has the class {known!r}; use one "
                "class per image, as for its score map"
            )
        if row.size is not None and row.size != size:
            return f"{row.image!r} has another size than in an earlier row"
        if row.box in self.boxes[row.image] and not self.repeats:
            return f"repeats an earlier box of {row.image!r}"
        return box_fault(row.box, size)

    def _check_ends(self, images: Mapping[str, Path]) -> None:
        """Read the sizes of images from their headers, and check their boxes."""
        for name, path in images.items():
            try:
                size = read_image_size(path)
            except ImageError:
                # The error is raised when the size is needed.
                continue
            self.sizes[name] = size
            for box, row in list(self.boxes[name].items()):
                fault = box_fault(box, size)
                if fault:
                    refuse(row.bad(fault), self.on_bad)
                    del self.boxes[name][box]

    def _images(self, images: Path | None) -> dict[str, Path]:
        """Return the paths of images with boxes and unknown size."""
        unsized = [name for name, boxes in self.boxes.items() if boxes and name not in self.sizes]
        if not unsized:
            return {}
        if images is None:
            raise DataError(
                f"{self.path}: the size of {unsized[0]!r} is missing; add its width and height, or "
                "set --images to the folder of the images"
            )
        files = find_images(images)
        rows = [next(iter(self.boxes[name].values())) for name in unsized]
        matched = match_rows(rows, ImageNames(files), synonyms="all")
        matched.refuse_unknown(where=images)
        return {
            row.image: images / files[index]
            for index, of_image in matched.of_image.items()
            for row in of_image
        }


def read_box_annotations(
    path: Path, images: Path | None = None, on_bad: OnBad = "fail"
) -> BoxAnnotations:
    """Read the boxes of all images in a file or folder, including images without boxes.

    The folder of the images is for boxes without image sizes; its default for YOLO is the folder
    `images` next to the labels. Image names are matched by `ImageNames`.

    Raises:
        AnnotationError: If a row cannot be used.
        DataError: If there are no boxes, or the size of an image is unknown.
        ImageError: If an image whose size is needed cannot be read.
    """
    table, rows = BoxTable(path, on_bad=on_bad), read_box_file(path, needs_sizes=True)
    if is_yolo(path):
        rows = _in_pixels(rows, images or yolo_images(path), on_bad)
    for row in rows:
        table.add(row)
    return table.annotations(images)


def _in_pixels(rows: Iterable[Row], folder: Path, on_bad: OnBad) -> Iterator[Row]:
    """Convert rows from fractions to pixels, and image names to paths in a folder."""
    rows, files = list(rows), find_images(folder)
    images = (row for row in rows if isinstance(row, ImageRow) and not isinstance(row, BoxRow))
    matched = match_rows(images, ImageNames(files), on_bad=on_bad, synonyms="all")
    matched.refuse_unknown(on_bad, f"{folder}; set --images to their folder")
    known = {
        row.image: (files[index], read_image_size(folder / files[index]))
        for index, of_image in matched.of_image.items()
        for row in of_image
    }
    for row in rows:
        if isinstance(row, AnnotationError):
            yield row
        elif row.image in known:
            image, size = known[row.image]
            row = row.in_pixels(size) if isinstance(row, BoxRow) else replace(row, size=size)
            yield replace(row, image=image)
