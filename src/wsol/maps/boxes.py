"""Boxes of one threshold, and their way back to the original picture."""

import numpy as np
from numpy.typing import NDArray

from wsol.maps.contours import Contours, contours_at, grey_levels, threshold_levels


def boxes_at(score_map: NDArray[np.floating], threshold: float) -> Contours:
    """Return the contours of a map at one threshold, holes included.

    Args:
        score_map: float ``(H, W)`` in [0, 1].
        threshold: share of the map's maximum, in [0, 1).

    >>> boxes_at(np.array([[0.0, 0.2, 1.0]]), 0.5).boxes.tolist()
    [[2, 0, 3, 1]]
    """
    grey = grey_levels(score_map)
    return contours_at(grey, int(threshold_levels(grey, np.array([threshold]))[0]))


def largest_box_at(score_map: NDArray[np.floating], threshold: float) -> NDArray[np.int64]:
    """Return the box of the contour with the largest area, ``(1, 4)``, or ``(0, 4)`` if none.

    Args:
        score_map: float ``(H, W)`` in [0, 1].
        threshold: share of the map's maximum, in [0, 1).

    >>> largest_box_at(np.array([[0.0, 0.2, 1.0]]), 0.1).tolist()
    [[1, 0, 3, 1]]
    """
    contours = boxes_at(score_map, threshold)
    if len(contours.boxes) == 0:
        return contours.boxes
    return contours.boxes[[int(contours.areas.argmax())]]


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
