"""One split of a data set: images, their classes and, where known, their boxes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wsol.errors import ConfigError, DataError


@dataclass(frozen=True, eq=False)
class Samples:
    """Name the images of one split, with one class each and any number of boxes.

    Args:
        root: Folder that holds the images.
        ids: Path of each image below `root`, with forward slashes; unique.
        labels: (N,) index into `classes`.
        classes: Name of each class, the same for all splits of a data set.
        boxes: Per image (k, 4) `x0 y0 x1 y1` in pixels of the image as displayed, k may be 0;
            None where the data set has no boxes at all.

    Raises:
        DataError: If the lengths differ, an id comes twice or a label has no class.

    >>> samples = Samples(Path("birds"), ("a.jpg", "b.jpg"), np.array([0, 1]), ("crow", "wren"))
    >>> len(samples), samples.path(1).as_posix(), samples.has_boxes
    (2, 'birds/b.jpg', False)
    >>> samples.select([1]).ids
    ('b.jpg',)
    """

    root: Path
    ids: tuple[str, ...]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    boxes: tuple[NDArray[np.float64], ...] | None = None

    def __post_init__(self) -> None:
        """Check what every reader of a split relies on."""
        count = len(self.ids)
        if (
            len(self.labels) != count
            or len(self.ids if self.boxes is None else self.boxes) != count
        ):
            raise DataError(f"{self.root}: {count} ids need as many labels and lists of boxes")
        if len(set(self.ids)) < count:
            twice = next(name for name, after in pairwise(sorted(self.ids)) if name == after)
            raise DataError(f"{self.root}: image {twice!r} is listed twice")
        if count and not 0 <= self.labels.min() <= self.labels.max() < len(self.classes):
            raise DataError(f"{self.root}: labels must lie in 0 to {len(self.classes) - 1}")

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.ids)

    def paths(self) -> list[Path]:
        """Return the paths of all images."""
        return [self.path(index) for index in range(len(self))]

    @property
    def has_boxes(self) -> bool:
        """Whether the data set has boxes, even if these images have none."""
        return self.boxes is not None

    def path(self, index: int) -> Path:
        """Return where the image of this index lies."""
        return self.root / self.ids[index]

    def select(self, indices: Sequence[int] | NDArray[np.int64]) -> "Samples":
        """Return the images of these indices, in this order."""
        chosen = np.asarray(indices, dtype=np.int64)
        return Samples(
            self.root,
            tuple(self.ids[i] for i in chosen),
            self.labels[chosen],
            self.classes,
            None if self.boxes is None else tuple(self.boxes[i] for i in chosen),
        )


def split_off(samples: Samples, share: float, seed: int) -> tuple[Samples, Samples]:
    """Move a share of the images of every class into a part of its own.

    Of each class with at least two images at least one moves and at least one stays; a single
    image stays. The choice depends on the seed, the labels and their order alone.

    Args:
        samples: The images to divide; both results keep their order.
        share: Share of each class that moves, between 0 and 1.
        seed: Seed of the choice.

    Returns:
        The rest and the part.

    Raises:
        ConfigError: If `share` is not between 0 and 1.

    >>> ids = tuple(f"{i}.jpg" for i in range(10))
    >>> samples = Samples(Path("birds"), ids, np.arange(10) // 5, ("crow", "wren"))
    >>> rest, part = split_off(samples, 0.2, seed=0)
    >>> part.ids, len(rest)
    (('3.jpg', '8.jpg'), 8)
    """
    if not 0 < share < 1:
        raise ConfigError(f"the share to split off must lie between 0 and 1, not {share}")
    # Uniform draws, unlike permutation(), have never changed between releases of numpy.
    draws = np.random.Generator(np.random.PCG64(seed)).random(len(samples))
    moves = np.zeros(len(samples), dtype=bool)
    for label in range(len(samples.classes)):
        members = np.flatnonzero(samples.labels == label)
        if len(members) >= 2:
            count = min(max(math.floor(share * len(members) + 0.5), 1), len(members) - 1)
            moves[members[np.argsort(draws[members], kind="stable")[:count]]] = True
    return samples.select(np.flatnonzero(~moves)), samples.select(np.flatnonzero(moves))
