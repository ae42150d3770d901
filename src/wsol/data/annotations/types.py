"""Rows and types of annotations, validation of boxes and sizes, and lines of text files."""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from wsol.data.images import read_image_size
from wsol.data.names import class_name
from wsol.errors import AnnotationError, DataError

Box = tuple[float, float, float, float]

Size = tuple[int, int]

OnBad = Literal["fail", "skip"]
"""Handling of an unusable row: raise an error, or skip it with a log message."""

TOLERANCE: Final = 1.0
"""Pixels by which a box may exceed its image, as coordinates may start at 1, or be rounded."""


@dataclass(frozen=True, slots=True)
class ImageRow:
    """Row of an annotation file on an image; its subclasses add a label or a box.

    Args:
        path: File of the row.
        image: Name of the image in the file, see `ImageNames`.
        line: Line of the file, from 1, for formats with lines.
        item: Name of the row in the format, as prefix of an error message.
        size: Width and height of the image in pixels, if the file contains them.

    >>> str(ImageRow(Path("boxes.csv"), "a.jpg", line=2).bad("no such image"))
    'boxes.csv:2: no such image'
    """

    path: Path
    image: str
    line: int | None = None
    item: str = ""
    size: Size | None = None

    def bad(self, reason: str) -> AnnotationError:
        """Return the error of an unusable row, with file and line."""
        return AnnotationError(self.path, self.line, self.item + reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelRow(ImageRow):
    """Class of an image or object, without surrounding whitespace, and split if the file has it."""

    class_name: str
    split: str | None = None

    def __post_init__(self) -> None:
        """Normalize the class name."""
        object.__setattr__(self, "class_name", class_name(self.class_name))


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxRow(LabelRow):
    """Box of an object: `x0 y0 x1 y1` in pixels of the image as displayed.

    With `is_relative`, it is in fractions of width and height instead, see `in_pixels`.
    """

    box: Box
    is_relative: bool = False

    def in_pixels(self, size: Size) -> "BoxRow":
        """Return the row with its box in pixels of an image of this size.

        The box is rounded to a hundredth, which corrects fractions with few digits, whose edges may
        be just below a whole pixel.

        >>> row = BoxRow(
        ...     Path("a.txt"), "a", class_name="crow", box=(0.0, 0.5, 1.0, 1.0), is_relative=True
        ... )
        >>> row.in_pixels((8, 6)).box
        (0.0, 3.0, 8.0, 6.0)
        """
        if not self.is_relative:
            return self
        (width, height), (x0, y0, x1, y1) = size, self.box
        corners = x0 * width, y0 * height, x1 * width, y1 * height
        x0, y0, x1, y1 = (round(value, 2) for value in corners)
        return replace(self, box=(x0, y0, x1, y1), size=size, is_relative=False)


Row = ImageRow | AnnotationError
"""Result of a format reader: an image, a box, or the error of an invalid row."""


def read_lines(path: Path) -> list[tuple[int, str]]:
    """Return the non-empty lines of a text file, with their numbers from 1.

    Raises:
        DataError: If the file cannot be read.
    """
    try:
        # A file name that is not UTF-8 reads as os.fsdecode() gives it, so it still matches.
        text = path.read_text(encoding="utf-8-sig", errors="surrogateescape")
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from error
    return [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]


def box_fault(box: Box, size: Size | None = None) -> str | None:
    """Return the fault of a box in pixels, or None; without a size, its ends are not checked."""
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
        return f"the box ends within the first pixel, at {x1:g} {y1:g}; use pixels, not fractions"
    if size is not None and (x1 > size[0] + TOLERANCE or y1 > size[1] + TOLERANCE):
        return f"the box ends outside the image of {size[0]} x {size[1]} pixels, at {x1:g} {y1:g}"
    return None


def size_fault(size: Size) -> str | None:
    """Return the fault of an image size, or None."""
    width, height = size
    return None if min(size) > 0 else f"an image cannot be {width} x {height} pixels large"


def parse_size(width: str, height: str) -> Size:
    """Return the size of an image in a file, or raise ValueError."""
    size = int(width), int(height)
    fault = size_fault(size)
    if fault:
        raise ValueError(fault)
    return size


@dataclass(frozen=True, eq=False)
class _Annotations:
    """Images of a split: source of their annotations, ids, and classes, None if unknown."""

    source: Path
    ids: tuple[str, ...]
    classes: tuple[str | None, ...]

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.ids)


@dataclass(frozen=True, eq=False)
class BoxAnnotations(_Annotations):
    """Images of a split with their ground-truth boxes.

    Args:
        source: File or folder of the annotations.
        ids: Name of each image, with forward slashes; unique.
        classes: Class name of each image, None if unknown.
        boxes: Per image (k, 4) `x0 y0 x1 y1` in pixels of the image as displayed, k may be 0.
        sizes: Per image width and height in pixels, or the path of the image to read them from;
            None only for images without boxes.

    >>> boxes = (np.array([[1.0, 2.0, 3.0, 4.0]]),)
    >>> annotations = BoxAnnotations(Path("b.csv"), ("a.jpg",), ("crow",), boxes, ((8, 6),))
    >>> len(annotations), annotations.has_ground_truth(0), annotations.size(0)
    (1, True, (8, 6))
    """

    boxes: tuple[NDArray[np.float64], ...]
    sizes: tuple[Size | Path | None, ...]

    def has_ground_truth(self, index: int) -> bool:
        """Return whether the image with this index has a ground-truth box."""
        return len(self.boxes[index]) > 0

    def size(self, index: int) -> Size:
        """Return width and height of an image, read from its header if necessary.

        Raises:
            ImageError: If the image cannot be read.
            AnnotationError: If the size is unknown.
        """
        known = self.sizes[index]
        if isinstance(known, tuple):
            return known
        if known is None:
            raise AnnotationError(self.source, None, f"{self.ids[index]!r} has no size")
        return read_image_size(known)


@dataclass(frozen=True)
class MaskFiles:
    """Files of the mask of an image.

    Args:
        objects: Files with one or more objects each.
        ignore: File whose pixels other than 0 are ignored, unless they are object.

    >>> MaskFiles((Path("a_1.png"), Path("a_2.png"))).ignore is None
    True
    """

    objects: tuple[Path, ...]
    ignore: Path | None = None


@dataclass(frozen=True, eq=False)
class MaskAnnotations(_Annotations):
    """Images of a split with the files of their ground-truth masks.

    Args:
        source: File or folder of the annotations.
        ids: Name of each image, with forward slashes; unique.
        classes: Class name of each image, None if unknown.
        masks: Files of the mask of each image.

    >>> masks = (MaskFiles((Path("a.png"),)), MaskFiles(()))
    >>> annotations = MaskAnnotations(Path("masks"), ("a", "b"), (None, None), masks)
    >>> len(annotations), annotations.has_ground_truth(0), annotations.has_ground_truth(1)
    (2, True, False)
    """

    masks: tuple[MaskFiles, ...]

    def has_ground_truth(self, index: int) -> bool:
        """Return whether the image with this index has a mask."""
        return len(self.masks[index].objects) > 0
