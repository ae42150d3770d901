"""Boxes of one threshold, and their way back to the original picture."""

import numpy as np
from numpy.typing import NDArray

from wsol.maps._components import find_components
from wsol.maps.checks import check_score_map, check_thresholds
from wsol.maps.curves import ContourRule
from wsol.maps.levels import grey_levels, threshold_levels


def boxes_at(
    score_map: NDArray[np.floating], threshold: float, contours: ContourRule = "all"
) -> NDArray[np.int64]:
    """Return the boxes of a map's contours at one threshold, int64 ``(N, 4)``, N may be 0.

    Args:
        score_map: float ``(H, W)`` in [0, 1].
        threshold: share of the map's maximum, in [0, 1).
        contours: ``all``: of the objects, in raster order of their first pixels, then of their
            holes; ``largest``: of the contour with the largest area alone.

    Raises:
        ValueError: a map or threshold outside its range, or a map of 2^29 pixels or more.

    The boxes are x0 y0 x1 y1 in map pixels; x1 and y1 lie one past the last pixel.

    >>> score_map = np.array([[0.0, 0.2, 1.0, 0.0, 0.9]])
    >>> boxes_at(score_map, 0.1).tolist(), boxes_at(score_map, 0.95, "largest").tolist()
    ([[1, 0, 3, 1], [4, 0, 5, 1]], [[2, 0, 3, 1]])
    """
    thresholds = np.array([threshold])
    check_score_map(score_map)
    check_thresholds(thresholds)
    grey = grey_levels(score_map)
    above = grey > threshold_levels(grey, thresholds)[0]
    # In rows, as machine code for another order would be compiled on its own.
    boxes, largest = find_components(np.ascontiguousarray(above))
    if contours == "largest":
        return boxes[largest : largest + 1] if largest >= 0 else boxes[:0]
    return boxes


def scale_boxes(
    boxes: NDArray[np.integer | np.floating], size: tuple[int, int], to: tuple[int, int]
) -> NDArray[np.float64]:
    """Return boxes of a picture of one size in the pixels of the same picture at another size.

    Args:
        boxes: ``(N, 4)``, x0 y0 x1 y1.
        size: width and height that the boxes belong to.
        to: width and height of the result.

    >>> scale_boxes(np.array([[0, 0, 7, 14]]), size=(14, 14), to=(28, 140)).tolist()
    [[0.0, 0.0, 14.0, 140.0]]
    """
    # Multiplied before it is divided, as the published evaluator does: it decides what the
    # truncation to whole pixels makes of the result.
    scaled: NDArray[np.float64] = boxes * np.tile(np.array(to), 2) / np.tile(np.array(size), 2)
    return scaled
