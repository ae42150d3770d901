"""What is true of the pictures of a prediction: their boxes and classes."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wsol.data.annotations.types import Box, BoxRow, ImageRow, Size, box_fault
from wsol.data.box_file import read_box_file
from wsol.data.image_names import ImageNames, shared_end
from wsol.data.samples import Samples
from wsol.errors import AnnotationError, DataError

log = logging.getLogger("wsol")


@dataclass(frozen=True, eq=False)
class Truth:
    """What is true of one picture.

    Attributes:
        boxes: float64 ``(k, 4)``, x0 y0 x1 y1 in pixels of the picture as displayed.
        box_classes: name of the class of each box.
        classes: names of the picture's classes.

    >>> Truth(np.array([[0.0, 0, 5, 5]]), ("crow",), ("crow",)).classes
    ('crow',)
    """

    boxes: NDArray[np.float64]
    box_classes: tuple[str, ...]
    classes: tuple[str, ...]


def truth_of(samples: Samples) -> dict[str, Truth]:
    """Return what a split of a data set says of each of its pictures.

    Args:
        samples: with or without boxes.

    >>> boxes = (np.array([[1.0, 2, 3, 4]]),)
    >>> split = Samples(Path(), ("a.jpg",), np.array([1]), ("crow", "wren"), boxes)
    >>> truth_of(split)["a.jpg"].box_classes
    ('wren',)
    """
    found = {}
    for index, name in enumerate(samples.ids):
        boxes = np.zeros((0, 4)) if samples.boxes is None else samples.boxes[index]
        if samples.box_labels is None:
            labels = np.full(len(boxes), samples.labels[index])
        else:
            labels = samples.box_labels[index]
        found[name] = Truth(
            boxes,
            tuple(samples.classes[label] for label in labels),
            tuple(samples.classes[label] for label in samples.labels_of(index)),
        )
    return found


def read_truth(
    path: Path, sizes: Mapping[str, Size], images: Path | None = None
) -> dict[str, Truth]:
    r"""Return the ground-truth boxes of images from a file or folder of any format.

    An image is named as ``ImageNames`` says. Where several names stand for one image, the one that
    has the longest end in common with its place in its folder is meant. Boxes of images that are
    not asked for are left out, and the log says how many.

    Args:
        path: see ``wsol.data.box_file.read_box_file``.
        sizes: id of each picture to its width and height; 0 and 0 where they are not known.
        images: folder that the ids are relative to.

    Raises:
        AnnotationError: a row cannot be used, or lies outside its picture.
        DataError: there is no such file, its format is unknown, or it has no box of any picture.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "boxes.csv")
    ...     _ = file.write_text("image,class,x0,y0,x1,y1\ntest/a.jpg,crow,1,2,30,40\n")
    ...     read_truth(file, {"a.jpg": (64, 48)})["a.jpg"].boxes
    array([[ 1.,  2., 30., 40.]])
    """
    ids = list(sizes)
    names = ImageNames(ids)
    # Of each picture, the rows by the name that they give it.
    named: dict[str, dict[str, list[BoxRow]]] = {}
    others = 0
    for row in read_box_file(path):
        if isinstance(row, AnnotationError):
            raise row
        if isinstance(row, ImageRow):
            continue
        match = names.find(row.image)
        if match is None:
            others += 1
            continue
        if match.index is None:
            raise row.bad(path, f"several pictures end in {row.image!r}; give more of the path")
        named.setdefault(ids[match.index], {}).setdefault(row.image, []).append(row)
    if not named:
        raise DataError(f"{path}: has no box of any of the {len(sizes)} pictures")
    if others:
        log.info("%s: %d boxes are of pictures that were not predicted", path, others)
    return {
        name: _checked(path, _only(path, name, rows, images), sizes[name])
        for name, rows in named.items()
    }


def _only(
    path: Path, name: str, named: Mapping[str, list[BoxRow]], images: Path | None
) -> list[BoxRow]:
    """Return the rows of the one name that a picture has."""
    place = name if images is None else (images.absolute() / name).as_posix()
    shared = {other: shared_end(other, place) for other in named}
    chosen = [other for other in named if shared[other] == max(shared.values())]
    if len(chosen) == 1:
        return named[chosen[0]]
    one, other = list(named)[:2]
    row = named[other][0]
    reason = f"{other!r} and {one!r} both name the picture {name!r}"
    raise row.bad(path, reason)


def _checked(path: Path, rows: Iterable[BoxRow], size: Size) -> Truth:
    """Return what sound rows say of a picture."""
    found: dict[tuple[str, Box], None] = {}
    for row in rows:
        if row.is_relative and all(size):
            row = row.in_pixels(size)
        fault = box_fault(row.box, size if all(size) else None)
        if fault is None and (row.class_name, row.box) in found:
            fault = f"repeats an earlier box of {row.image!r}"
        if fault:
            raise row.bad(path, fault)
        found[row.class_name, row.box] = None
    names, boxes = zip(*found, strict=True)
    return Truth(np.array(boxes, np.float64), names, tuple(sorted(set(names))))
