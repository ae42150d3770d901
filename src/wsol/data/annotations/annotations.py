"""The images of a split with what is true of them: boxes or masks."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wsol.data.annotations.types import Size
from wsol.data.decode import image_size
from wsol.errors import AnnotationError


@dataclass(frozen=True, eq=False)
class BoxAnnotations:
    """Name the images of a split, with the true boxes of each.

    Args:
        source: The file or folder that this was read from.
        ids: Name of each image, with forward slashes; unique.
        classes: Name of the class of each image, None where it is not known.
        boxes: Per image (k, 4) `x0 y0 x1 y1` in pixels of the image as displayed, k may be 0.
        sizes: Per image width and height in pixels, or the picture to read them from; None only
            where there is no box.

    >>> boxes = (np.array([[1.0, 2.0, 3.0, 4.0]]),)
    >>> annotations = BoxAnnotations(Path("b.csv"), ("a.jpg",), ("crow",), boxes, ((8, 6),))
    >>> len(annotations), annotations.has_truth(0), annotations.size(0)
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

    def has_truth(self, index: int) -> bool:
        """Return whether the image of this index has a true box."""
        return len(self.boxes[index]) > 0

    def size(self, index: int) -> Size:
        """Return width and height of an image, from its picture's header if need be.

        Raises:
            ImageError: If the picture cannot be read.
            AnnotationError: If the size is not known.
        """
        known = self.sizes[index]
        if isinstance(known, tuple):
            return known
        if known is None:
            raise AnnotationError(self.source, None, f"{self.ids[index]!r} has no size")
        return image_size(known)


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
    >>> len(annotations), annotations.has_truth(0), annotations.has_truth(1)
    (2, True, False)
    """

    source: Path
    ids: tuple[str, ...]
    classes: tuple[str | None, ...]
    masks: tuple[MaskFiles, ...]

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.ids)

    def has_truth(self, index: int) -> bool:
        """Return whether the image of this index has a mask."""
        return len(self.masks[index].objects) > 0
