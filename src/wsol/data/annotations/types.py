"""Rows of annotation files, and what can be wrong with them."""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from wsol.data.images import read_image_size
from wsol.data.names import class_name
from wsol.errors import AnnotationError

Box = tuple[float, float, float, float]

Size = tuple[int, int]

OnBad = Literal["fail", "skip"]
"""Whether a row that cannot be used ends the reading, or is left out with a line in the log."""

TOLERANCE: Final = 1.0
"""Pixels by which a box may reach beyond its image: pixels may be counted from 1, or rounded."""


@dataclass(frozen=True)
class BoxRow:
    """Hold one box of an annotation file.

    Args:
        image: Name of the image.
        class_name: Name of the class of the object; blanks around it do not count.
        box: `x0 y0 x1 y1` in pixels of the image as displayed.
        line: Line of the file, from 1, where the format has lines.
        item: What the format calls the row, as the start of an error message.
        size: Width and height of the image in pixels, where they were asked for and the file
            states them.
        path: File of the row, where the annotations are a folder of files.
        is_relative: Whether the box is in fractions of width and height instead, see `in_pixels`.

    >>> BoxRow("a.jpg", "crow", (1.0, 2.0, 30.0, 40.0), line=2).line
    2
    """

    image: str
    class_name: str
    box: Box
    line: int | None = None
    item: str = ""
    size: Size | None = None
    path: Path | None = None
    is_relative: bool = False

    def bad(self, path: Path, reason: str) -> AnnotationError:
        """Return the error that the row cannot be used.

        Args:
            path: The annotations, for a row that has no file of its own.
            reason: What is wrong.
        """
        return AnnotationError(self.path or path, self.line, self.item + reason)

    def in_pixels(self, size: Size) -> "BoxRow":
        """Return the row with its box in pixels, to a hundredth of one.

        Fractions of few digits would otherwise put an edge just before the pixel that it is at.

        Args:
            size: Width and height of the image as displayed.

        >>> BoxRow("a.jpg", "crow", (0.0, 0.5, 1.0, 1.0), is_relative=True).in_pixels((8, 6)).box
        (0.0, 3.0, 8.0, 6.0)
        """
        if not self.is_relative:
            return self
        (width, height), (x0, y0, x1, y1) = size, self.box
        corners = x0 * width, y0 * height, x1 * width, y1 * height
        x0, y0, x1, y1 = (round(value, 2) for value in corners)
        return replace(self, box=(x0, y0, x1, y1), size=size, is_relative=False)

    def of(self, image: str) -> "BoxRow":
        """Return the row as one of an image that has another name.

        Args:
            image: The name.
        """
        return replace(self, image=image)

    def __post_init__(self) -> None:
        """Bring the class to the form in which all classes are compared."""
        object.__setattr__(self, "class_name", class_name(self.class_name))


def box_fault(box: Box, size: Size | None = None) -> str | None:
    """Return what is wrong with a box, or None.

    Args:
        box: `x0 y0 x1 y1` in pixels.
        size: Width and height of the image in pixels; where they are unknown, the box may end
            anywhere.

    >>> box_fault((0, 0, 5, 5))
    >>> box_fault((5, 0, 2, 5))
    'x1 (2) must be greater than x0 (5)'
    >>> box_fault((0, 0, 5, 6), size=(5, 4))
    'the box ends outside the image of 5 x 4 pixels, at 5 6'
    """
    x0, y0, x1, y1 = box
    if not all(map(math.isfinite, box)):
        return f"the box {x0:g} {y0:g} {x1:g} {y1:g} is not finite"
    if min(x0, y0) < -TOLERANCE:
        return f"the box begins outside the image, at {x0:g} {y0:g}"
    if x1 <= x0:
        return f"x1 ({x1:g}) must be greater than x0 ({x0:g})"
    if y1 <= y0:
        return f"y1 ({y1:g}) must be greater than y0 ({y0:g})"
    if max(x1, y1) < 1:
        return f"the box ends within the first pixel, at {x1:g} {y1:g}; give pixels, not fractions"
    if size is not None and (x1 > size[0] + TOLERANCE or y1 > size[1] + TOLERANCE):
        return f"the box ends outside the image of {size[0]} x {size[1]} pixels, at {x1:g} {y1:g}"
    return None


def size_fault(size: Size) -> str | None:
    """Return what is wrong with the size of an image, or None.

    Args:
        size: Width and height in pixels.

    >>> size_fault((0, 5))
    'an image cannot be 0 x 5 pixels large'
    """
    width, height = size
    return None if min(size) > 0 else f"an image cannot be {width} x {height} pixels large"


@dataclass(frozen=True)
class ImageRow:
    """Hold an image that an annotation file names, with or without boxes.

    Args:
        image: Name of the image.
        size: Width and height of the image in pixels, where the file states them.

    >>> ImageRow("a.jpg").size is None
    True
    """

    image: str
    size: Size | None = None


Row = BoxRow | ImageRow | AnnotationError
"""What the reader of a format yields: a box, an image, or the error of what is neither."""


@dataclass(frozen=True, eq=False)
class Listing:
    """Name the images of a split.

    Args:
        source: The file or folder that says so.
        labels: Name of each image to the number of its class as text, None where it is not given.
        boxes: Per image (k, 4) `x0 y0 x1 y1` in pixels; None where the split has none.

    >>> Listing(Path("train.txt"), {"a.jpg": "0"}, None).source.name
    'train.txt'
    """

    source: Path
    labels: dict[str, str | None]
    boxes: tuple[NDArray[np.float64], ...] | None


@dataclass(frozen=True, eq=False)
class BoxAnnotations:
    """Name the images of a split, with the true boxes of each.

    Args:
        source: The file or folder that this was read from.
        ids: Name of each image, with forward slashes; unique.
        classes: Name of the class of each image, None where it is not known.
        boxes: Per image (k, 4) `x0 y0 x1 y1` in pixels of the image as displayed, k may be 0.
        sizes: Per image width and height in pixels, or the image to read them from; None only
            where there is no box.

    >>> boxes = (np.array([[1.0, 2.0, 3.0, 4.0]]),)
    >>> annotations = BoxAnnotations(Path("b.csv"), ("a.jpg",), ("crow",), boxes, ((8, 6),))
    >>> len(annotations), annotations.has_ground_truth(0), annotations.size(0)
    (1, True, (8, 6))
    """

    source: Path
    ids: tuple[str, ...]
    classes: tuple[str | None, ...]
    boxes: tuple[NDArray[np.float64], ...]
    sizes: tuple[Size | Path | None, ...]

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.ids)

    def has_ground_truth(self, index: int) -> bool:
        """Return whether the image of this index has a true box."""
        return len(self.boxes[index]) > 0

    def size(self, index: int) -> Size:
        """Return width and height of an image, from its image's header if need be.

        Raises:
            ImageError: If the image cannot be read.
            AnnotationError: If the size is not known.
        """
        known = self.sizes[index]
        if isinstance(known, tuple):
            return known
        if known is None:
            raise AnnotationError(self.source, None, f"{self.ids[index]!r} has no size")
        return read_image_size(known)


@dataclass(frozen=True)
class MaskFiles:
    """Name the files that make up the mask of one image.

    Args:
        objects: Each with one object or several; the image's objects are all of theirs.
        ignore: A file whose pixels other than 0 are left out where they belong to no object.

    >>> MaskFiles((Path("a_1.png"), Path("a_2.png"))).ignore is None
    True
    """

    objects: tuple[Path, ...]
    ignore: Path | None = None


@dataclass(frozen=True, eq=False)
class MaskAnnotations:
    """Name the images of a split, with the files of the true mask of each.

    Args:
        source: The file or folder that this was read from.
        ids: Name of each image, with forward slashes; unique.
        classes: Name of the class of each image, None where it is not known.
        masks: Per image the files of its mask.

    >>> masks = (MaskFiles((Path("a.png"),)), MaskFiles(()))
    >>> annotations = MaskAnnotations(Path("masks"), ("a", "b"), (None, None), masks)
    >>> len(annotations), annotations.has_ground_truth(0), annotations.has_ground_truth(1)
    (2, True, False)
    """

    source: Path
    ids: tuple[str, ...]
    classes: tuple[str | None, ...]
    masks: tuple[MaskFiles, ...]

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.ids)

    def has_ground_truth(self, index: int) -> bool:
        """Return whether the image of this index has a mask."""
        return len(self.masks[index].objects) > 0
