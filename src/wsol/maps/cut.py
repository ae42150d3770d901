"""The boxes of one class, as a user gets them."""

import numpy as np
from numpy.typing import NDArray

from wsol.maps.boxes import boxes_at
from wsol.maps.objects import Objects, objects_at
from wsol.types import Number


def cut_map(heat_map: NDArray[np.floating], threshold: float, objects: Number) -> Objects:
    """Return the boxes of a map in map pixels, the one with the highest peak first.

    Args:
        heat_map: float ``(H, W)`` in [0, 1].
        threshold: share of the map's maximum, in [0, 1).
        objects: ``one`` box, around the largest contour, with a peak of 1; or ``several``.

    >>> heat_map = np.array([[0.2, 0.9, 0, 1]])
    >>> [part.tolist() for part in cut_map(heat_map, 0.5, "several")]
    [[[3, 0, 4, 1], [1, 0, 2, 1]], [1.0, 0.9]]
    """
    if objects == "several":
        return objects_at(heat_map, threshold)
    boxes = boxes_at(heat_map, threshold, "largest")
    return Objects(boxes, np.ones(len(boxes)))
