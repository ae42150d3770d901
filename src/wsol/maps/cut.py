"""The boxes of one class, as a user gets them."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from wsol.choices import Number
from wsol.maps.boxes import boxes_at
from wsol.maps.objects import objects_at
from wsol.maps.separability import separability


class ScoredBoxes(NamedTuple):
    """The boxes of a map.

    Attributes:
        boxes: int64 ``(N, 4)``, x0 y0 x1 y1 in map pixels; x1 and y1 lie one past the last pixel.
        scores: float64 ``(N,)`` in [0, 1], the highest first: how well the threshold separates
            object and background (see ``separability``), of several boxes times the peak of each.
    """

    boxes: NDArray[np.int64]
    scores: NDArray[np.float64]


def cut_map(heat_map: NDArray[np.floating], threshold: float, objects: Number) -> ScoredBoxes:
    """Return the boxes of a map in map pixels, the one with the highest score first.

    Args:
        heat_map: float ``(H, W)`` in [0, 1].
        threshold: share of the map's maximum, in [0, 1).
        objects: ``one`` box, around the largest contour, or ``several``.

    >>> heat_map = np.array([[0, 0.9, 0, 1]])
    >>> [part.round(2).tolist() for part in cut_map(heat_map, 0.5, "several")]
    [[[3, 0, 4, 1], [1, 0, 2, 1]], [0.99, 0.9]]
    """
    if objects == "several":
        boxes, scores = objects_at(heat_map, threshold)
    else:
        boxes = boxes_at(heat_map, threshold, "largest")
        scores = np.ones(len(boxes))
    return ScoredBoxes(boxes, scores * separability(heat_map, threshold))
