"""Split of a data set: images with their classes and optional boxes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from wsol.errors import ConfigError, DataError

Number = TypeVar("Number", np.int64, np.float64)


@dataclass(frozen=True, eq=False)
class Samples:
    """Images of a split, with their classes and any number of boxes.

    Args:
        root: Folder of the images.
        ids: Path of each image below `root`, with forward slashes; unique.
        labels: (N,) index into `classes`; for multi-label images, the first label.
        classes: Name of each class, the same for all splits of a data set.
        boxes: Per image (k, 4) `x0 y0 x1 y1` in pixels of the image as displayed, k may be 0;
            None if the data set has no boxes at all.
        label_sets: Per image (m,) all its classes, ascending, m at least 1; None if all images of
            the data set only have the label in `labels`.
        box_labels: Per image (k,) class of each box; None if all boxes have the image's label.

    Raises:
        DataError: If the lengths differ, an id occurs twice, a label has no class, or the classes
            of an image are inconsistent.

    >>> samples = Samples(Path("birds"), ("a.jpg", "b.jpg"), np.array([0, 1]), ("crow", "wren"))
    >>> len(samples), samples.path(1).as_posix(), samples.has_boxes, samples.is_multi_label
    (2, 'birds/b.jpg', False, False)
    >>> samples.select([1]).ids
    ('b.jpg',)
    """

    root: Path
    ids: tuple[str, ...]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    boxes: tuple[NDArray[np.float64], ...] | None = None
    label_sets: tuple[NDArray[np.int64], ...] | None = None
    box_labels: tuple[NDArray[np.int64], ...] | None = None

    def __post_init__(self) -> None:
        """Validate the fields."""
        count = len(self.ids)
        lists = (self.labels, self.boxes, self.label_sets, self.box_labels)
        if any(given is not None and len(given) != count for given in lists):
            raise DataError(f"{self.root}: {count} ids need as many labels and lists of boxes")
        if len(set(self.ids)) < count:
            twice = next(name for name, after in pairwise(sorted(self.ids)) if name == after)
            raise DataError(f"{self.root}: image {twice!r} is listed twice; list each image once")
        if count and not 0 <= self.labels.min() <= self.labels.max() < len(self.classes):
            raise DataError(f"{self.root}: labels must lie in 0 to {len(self.classes) - 1}")
        for index in range(count if self.label_sets or self.box_labels else 0):
            fault = self._label_fault(index)
            if fault:
                raise DataError(f"{self.path(index)}: {fault}")

    def _label_fault(self, index: int) -> str | None:
        """Return the fault of an image's classes, or None."""
        known = range(len(self.classes))
        if self.label_sets is not None:
            own = self.label_sets[index].tolist()
            if own != sorted(set(own)) or not set(own) <= set(known):
                return f"the labels {own} must be ascending and in 0 to {len(known) - 1}"
            if self.labels[index] not in own:
                return f"the label {self.labels[index]} must be one of the labels {own}"
        if self.box_labels is not None:
            of_boxes = self.box_labels[index].tolist()
            if self.boxes is None or len(of_boxes) != len(self.boxes[index]):
                return "each box needs one class"
            if not set(of_boxes) <= set(known):
                return f"the classes {of_boxes} of its boxes must lie in 0 to {len(known) - 1}"
        return None

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.ids)

    def paths(self) -> list[Path]:
        """Return the paths of all images."""
        return [self.path(index) for index in range(len(self))]

    @property
    def num_boxed(self) -> int:
        """Number of images with a box."""
        return 0 if self.boxes is None else sum(len(boxes) > 0 for boxes in self.boxes)

    @property
    def has_boxes(self) -> bool:
        """Whether at least one image has a box."""
        return self.num_boxed > 0

    @property
    def is_multi_label(self) -> bool:
        """Whether the data set is multi-label, even if each image of this split has one label."""
        return self.label_sets is not None

    def path(self, index: int) -> Path:
        """Return the path of the image with this index."""
        return self.root / self.ids[index]

    def labels_of(self, index: int) -> NDArray[np.int64]:
        """Return all classes ``(m,)`` of the image with this index, ascending."""
        return self.labels[[index]] if self.label_sets is None else self.label_sets[index]

    def labels_of_boxes(self, index: int) -> NDArray[np.int64]:
        """Return the class ``(k,)`` of each box of the image with this index."""
        if self.box_labels is not None:
            return self.box_labels[index]
        count = 0 if self.boxes is None else len(self.boxes[index])
        return np.full(count, self.labels[index])

    def targets(self, indices: Sequence[int] | NDArray[np.int64]) -> NDArray[np.float32]:
        """Return multi-hot targets, float32 (N, classes): 1 for the classes of each image.

        Args:
            indices: (N,) indices of the images.

        >>> sets = (np.array([0, 1]), np.array([1]))
        >>> ids, classes = ("a.jpg", "b.jpg"), ("crow", "wren")
        >>> Samples(Path(), ids, np.array([1, 1]), classes, label_sets=sets).targets([0, 1])
        array([[1., 1.],
               [0., 1.]], dtype=float32)
        """
        targets = np.zeros((len(indices), len(self.classes)), dtype=np.float32)
        for target, index in zip(targets, indices, strict=True):
            target[self.labels_of(index)] = 1
        return targets

    def own_boxes(self, index: int) -> NDArray[np.float64]:
        """Return the boxes (k, 4) of an image that have its label, the first if it has more.

        Args:
            index: Index of the image.

        >>> boxes, of_boxes = (np.array([[0.0, 0, 5, 5], [5, 5, 9, 9]]),), (np.array([0, 1]),)
        >>> samples = Samples(
        ...     Path(), ("a.jpg",), np.array([1]), ("crow", "wren"), boxes, box_labels=of_boxes
        ... )
        >>> samples.own_boxes(0).tolist()
        [[5.0, 5.0, 9.0, 9.0]]
        """
        if self.boxes is None:
            return np.empty((0, 4))
        boxes = self.boxes[index]
        if self.box_labels is None:
            return boxes
        return boxes[np.flatnonzero(self.box_labels[index] == self.labels[index])]

    def select(self, indices: Sequence[int] | NDArray[np.int64]) -> "Samples":
        """Return the images with these indices, in this order."""
        chosen = np.asarray(indices, dtype=np.int64)
        return replace(
            self,
            ids=tuple(self.ids[i] for i in chosen),
            labels=self.labels[chosen],
            boxes=_chosen(self.boxes, chosen),
            label_sets=_chosen(self.label_sets, chosen),
            box_labels=_chosen(self.box_labels, chosen),
        )

    def evenly(self, most: int) -> "Samples":
        """Return at most this many images, spread evenly over all."""
        count = min(len(self), most)
        return self.select([index * len(self) // count for index in range(count)])

    def with_classes(self, classes: tuple[str, ...]) -> "Samples":
        """Return the images with their labels as indices into another list of classes.

        Args:
            classes: Class names, including all classes of this split.

        Raises:
            ValueError: If a class is missing.

        >>> samples = Samples(Path(), ("a.jpg",), np.array([0]), ("wren",))
        >>> samples.with_classes(("crow", "wren")).labels
        array([1])
        """
        number = np.array([classes.index(name) for name in self.classes], dtype=np.int64)
        sets, of_boxes = self.label_sets, self.box_labels
        return replace(
            self,
            labels=number[self.labels],
            classes=classes,
            label_sets=None if sets is None else tuple(np.sort(number[own]) for own in sets),
            box_labels=None if of_boxes is None else tuple(number[each] for each in of_boxes),
        )


def split_off(samples: Samples, share: float, seed: int) -> tuple[Samples, Samples]:
    """Split off a fraction of the images of every class.

    Of each class with at least two images, at least one is split off and at least one remains; a
    single image remains. Multi-label images count for their first label. The result, the remaining
    images and those that are split off, only depends on the seed, the labels and their order.

    Raises:
        ConfigError: If `share` is not between 0 and 1.

    >>> ids = tuple(f"{i}.jpg" for i in range(10))
    >>> samples = Samples(Path("birds"), ids, np.arange(10) // 5, ("crow", "wren"))
    >>> rest, part = split_off(samples, 0.2, seed=0)
    >>> part.ids, len(rest)
    (('3.jpg', '8.jpg'), 8)
    """
    if not 0 < share < 1:
        raise ConfigError(f"val_fraction: {share} is not valid; use a number between 0 and 1")
    # Uniform draws, unlike permutation(), have never changed between releases of numpy.
    draws = np.random.Generator(np.random.PCG64(seed)).random(len(samples))
    moves = np.zeros(len(samples), dtype=bool)
    for label in range(len(samples.classes)):
        members = np.flatnonzero(samples.labels == label)
        if len(members) >= 2:
            count = min(max(math.floor(share * len(members) + 0.5), 1), len(members) - 1)
            moves[members[np.argsort(draws[members], kind="stable")[:count]]] = True
    return samples.select(np.flatnonzero(~moves)), samples.select(np.flatnonzero(moves))


def _chosen(
    lists: tuple[NDArray[Number], ...] | None, chosen: NDArray[np.int64]
) -> tuple[NDArray[Number], ...] | None:
    """Return the lists of some images, or None."""
    return None if lists is None else tuple(lists[i] for i in chosen)
