"""What measuring by boxes and measuring by masks have in common."""

from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

Figures = dict[str, float | int | None]
Curve = dict[str, NDArray[np.float64]]

T = TypeVar("T")


@dataclass(frozen=True)
class Judged(Generic[T]):
    """How good one map is.

    Attributes:
        score: in percent, 0 for a map that is not there; None where the truth has no object.
        threshold: where the score is reached, or None if it belongs to no threshold.
        counts: what the figures of all images are made of.
    """

    score: float | None
    threshold: float | None
    counts: T


class Measure(Protocol[T]):
    """Judges maps one by one, in any thread, and counts them in one thread.

    Attributes:
        score_name: what a map's score is, as a column's name.
        kind: what is true of an image, in words.
    """

    score_name: str
    kind: str

    def judge(self, index: int, score_map: NDArray[np.floating] | None) -> Judged[T]:
        """Judge the map ``(H, W)`` in [0, 1] of one image; None is as wrong as can be."""

    def count(self, index: int, judged: Judged[T]) -> None:
        """Add a map to the figures."""

    def figures(self, threshold: float | None) -> Figures:
        """Return the figures of all maps counted; those of a threshold if one is given."""

    def by_class(self, threshold: float) -> dict[str, float | None]:
        """Return which share of each class's images is found at a threshold, in percent."""

    def best_threshold(self) -> float | None:
        """Return the best threshold for the maps counted, None where figures need none."""

    def curve(self) -> Curve:
        """Return columns over all thresholds, the first of which is ``threshold``."""
