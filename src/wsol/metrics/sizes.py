"""How large an object is in its picture."""

import numpy as np
from numpy.typing import NDArray

OBJECT_SIZES = ("small", "medium", "large")
"""Groups of images by the share of the picture that the largest true box covers."""

OBJECT_SIZE_EDGES = (0.1, 0.3)
"""A small object covers less than the first share, a large one more than the second."""


def object_share(boxes: NDArray[np.integer | np.floating], size: tuple[int, int]) -> float:
    """Return the share of a picture that its largest true box covers, in [0, 1].

    Args:
        boxes: ``(N, 4)``, N >= 1, x0 y0 x1 y1 in pixels of the picture, far edge. What lies
            outside the picture does not count.
        size: width and height of the picture in pixels.

    >>> object_share(np.array([[0, 0, 2, 2], [5, 0, 12, 5]]), size=(10, 10))
    0.25
    """
    inside = boxes.clip(0, np.tile(np.array(size), 2))
    areas = (inside[:, 2:] - inside[:, :2]).prod(1)
    return float(areas.max() / (size[0] * size[1]))


def object_size(share: float) -> int:
    """Return the index in ``OBJECT_SIZES`` of an object that covers this share of its picture.

    >>> [OBJECT_SIZES[object_size(share)] for share in (0.09, 0.1, 0.3, 0.31)]
    ['small', 'medium', 'medium', 'large']
    """
    small_below, large_above = OBJECT_SIZE_EDGES
    return int(share >= small_below) + int(share > large_above)
