"""IoU curves of a map from its component trees: every threshold at once.

Three sweeps tell all that one contour call per grey level would. The outlines of objects are those
of the 8-connected components from bright to dark. The outlines of holes are those of the
4-connected components of the inverted map that do not reach the frame. The outline with the
largest area is always an outermost one, since a polygon within another is no larger, and the
outermost outlines are those of the map with its holes filled at every level, whose components have
no holes, so that their areas can be counted. That third sweep is left out where no hole could
change which outline is the largest.
"""

import numpy as np
from numpy.typing import NDArray

from wsol.maps._basins import Basins, label_basins, list_steps
from wsol.maps._cells import LEVELS, gather_cells
from wsol.maps._numba import compiled
from wsol.maps._tree import Sweep, best_overlap, sweep
from wsol.maps.links import find_links


@compiled(nogil=True)
def tree_curves(
    fine: NDArray[np.uint16], peak: tuple[int, int], truth: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the IoU of the largest and of the best contour above each grey level.

    Args:
        fine: uint16 ``(H, W)``, ``256 * grey`` and, if known, the next eight bits; the bits below
            a grey level change no result, they only make it quicker to find.
        peak: row and column of one of the brightest pixels.
        truth: int ``(N, 4)``, true boxes x0 y0 x1 y1 inclusive in map pixels.

    Returns:
        largest: float64 ``(256,)``.
        all: float64 ``(256,)``.

    >>> fine = np.zeros((8, 8), np.uint16)
    >>> fine[2:5, 2:5] = 200 << 8
    >>> largest, best = tree_curves(fine, (2, 2), np.array([[2, 2, 5, 5]]))
    >>> largest[[0, 199]].tolist(), best[[0, 199]].tolist()
    ([1.0, 1.0], [1.0, 1.0])
    """
    height, width = fine.shape
    framed = np.zeros((height + 2, width + 2), np.uint16)
    framed[1:-1, 1:-1] = fine
    steps, no_holes = list_steps(width + 2), np.zeros(LEVELS, np.bool_)
    outside = np.zeros(framed.shape, np.uint8)
    summit = outside.copy()
    outside[0], outside[-1] = 1, 1
    outside[:, 0], outside[:, -1] = 1, 1
    summit[peak[0] + 1, peak[1] + 1] = 1
    basins, of_holes = _follow(~framed, outside, steps[:4], truth, no_holes)
    filled, hole_at = _fill_holes(framed, basins, of_holes.joined_outside)
    _, of_objects = _follow(framed, summit, steps, truth, hole_at)
    best, largest = of_objects.all, of_objects.largest
    if not of_objects.decided:
        _, of_filled = _follow(filled, summit, steps, truth, no_holes)
        largest = of_filled.largest
    # What is not above level L is, inverted, above level 254 - L.
    for level in range(LEVELS - 1):
        best[level] = max(best[level], of_holes.all[LEVELS - 2 - level])
    # Where nothing is above the level, the published evaluator has the one box 0 0 0 0.
    for level in range(fine[peak] >> 8, LEVELS):
        best[level] = largest[level] = best_overlap(0, 0, 0, 0, truth)
    return largest, best


@compiled()
def _follow(
    fine: NDArray[np.uint16],
    start: NDArray[np.uint8],
    steps: NDArray[np.int64],
    truth: NDArray[np.int64],
    hole_at: NDArray[np.bool_],
) -> tuple[Basins, Sweep]:
    """Follow the components of all levels of an image with its margin."""
    grey = (fine >> 8).astype(np.uint8)
    basins = label_basins(grey, fine, start, steps)
    cells = gather_cells(grey, basins)
    return basins, sweep(cells, find_links(grey, basins), basins, truth, hole_at)


@compiled()
def _fill_holes(
    framed: NDArray[np.uint16], basins: Basins, joined_outside: NDArray[np.uint8]
) -> tuple[NDArray[np.uint16], NDArray[np.bool_]]:
    """Fill the holes of a map at every level.

    Returns:
        filled: uint16 as ``framed``.
        hole_at: bool ``(256,)``, whether there is a hole among what is above each level.
    """
    filled = framed.copy()
    value, labels = filled.ravel(), basins.labels.ravel()
    begin_less_end = np.zeros(LEVELS + 1, np.int32)
    for pixel in basins.rest:
        label = labels[pixel]
        # A pixel is in a hole until its component joins what lies outside.
        low, high = value[pixel] >> 8, LEVELS - 1 - joined_outside[label]
        if label > 0 and low < high:
            value[pixel] = high << 8
            begin_less_end[low] += 1
            begin_less_end[high] -= 1
    return filled, begin_less_end.cumsum()[:-1] > 0
