"""IoU curves of a map from its component trees: every threshold at once.

Three sweeps tell all that one contour call per grey level would. The outlines of objects are those
of the 8-connected components from bright to dark. The outlines of holes are those of the
4-connected components of the inverted map that do not reach the frame. The outline with the
largest area is always an outermost one, since a polygon within another is no larger, and the
outermost outlines are those of the map with its holes filled at every level, whose components have
no holes, so that their areas can be counted.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from wsol.maps.sweep import LEVELS, box_iou_at, sweep


@njit(cache=True, nogil=True)
def tree_curves(
    grey: NDArray[np.uint8], truth: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the IoU of the largest and of the best contour above each grey level.

    Args:
        grey: uint8 ``(H, W)``.
        truth: int ``(N, 4)``, true boxes x0 y0 x1 y1 inclusive in map pixels.

    Returns:
        largest: float64 ``(256,)``.
        all: float64 ``(256,)``.

    >>> grey = np.zeros((8, 8), np.uint8)
    >>> grey[2:5, 2:5] = 200
    >>> largest, best = tree_curves(grey, np.array([[2, 2, 5, 5]]))
    >>> largest[[0, 199]].tolist(), best[[0, 199]].tolist()
    ([1.0, 1.0], [1.0, 1.0])
    """
    inverted = np.empty_like(grey)
    for y in range(grey.shape[0]):
        for x in range(grey.shape[1]):
            inverted[y, x] = LEVELS - 1 - grey[y, x]
    of_holes, _, filled = sweep(inverted, truth, True, False)
    same = True
    for y in range(grey.shape[0]):
        for x in range(grey.shape[1]):
            filled[y, x] = LEVELS - 1 - filled[y, x]
            same = same and filled[y, x] == grey[y, x]
    best, largest, _ = sweep(grey, truth, False, same)
    if not same:
        _, largest, _ = sweep(filled, truth, False, True)
    # What is not above level L is, inverted, above level 254 - L.
    for level in range(LEVELS - 1):
        best[level] = max(best[level], of_holes[LEVELS - 2 - level])
    # Where nothing is above the level, the published evaluator has the one box 0 0 0 0.
    nothing = np.zeros(4, np.int32)
    nothing[2:] = -1
    for level in range(grey.max(), LEVELS):
        best[level] = largest[level] = box_iou_at(nothing, 0, grey.shape[0], grey.shape[1], truth)
    return largest, best
