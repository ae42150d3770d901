"""Contours of a thresholded score map, as OpenCV's tree mode finds them.

This is the obvious twin: one contour call per grey level.
"""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray


class Contours(NamedTuple):
    """The outlines of one thresholded map, of objects and of holes, in OpenCV's order.

    Attributes:
        boxes: int64 ``(N, 4)``, x0 y0 x1 y1 in map pixels; x1 and y1 lie one past the last
            pixel. A hole's outline runs on the object pixels around it.
        areas: float64 ``(N,)``, area of the outline's polygon in square pixels; a thin line has
            area 0.
    """

    boxes: NDArray[np.int64]
    areas: NDArray[np.float64]


def grey_levels(score_map: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Return the 8-bit grey levels of a map, truncated, not rounded.

    Args:
        score_map: float ``(H, W)`` in [0, 1].

    >>> grey_levels(np.array([[0.0, 0.999, 1.0]]))
    array([[  0, 254, 255]], dtype=uint8)
    """
    return (score_map * 255).astype(np.uint8)


def threshold_levels(grey: NDArray[np.uint8], thresholds: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the grey level of each threshold: pixels strictly above it are kept.

    A threshold is a share of the map's maximum, so a thousand thresholds are at most 255 levels.

    Args:
        grey: uint8 ``(H, W)``.
        thresholds: float64 ``(T,)`` in [0, 1).

    >>> threshold_levels(np.array([[200]], np.uint8), np.array([0.0, 0.499, 0.5])).tolist()
    [0, 99, 100]
    """
    return (thresholds * int(grey.max())).astype(np.int64)


def contours_at(grey: NDArray[np.uint8], level: int) -> Contours:
    """Return the contours of the pixels that are strictly brighter than ``level``.

    Args:
        grey: uint8 ``(H, W)``.
        level: grey level, 0 to 255.

    >>> grey = np.zeros((4, 6), np.uint8)
    >>> grey[1:3, 1:5] = 9
    >>> contours_at(grey, 8).boxes.tolist(), contours_at(grey, 8).areas.tolist()
    ([[1, 1, 5, 3]], [3.0])
    """
    found, _ = cv2.findContours(
        (grey > level).astype(np.uint8), cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE
    )
    boxes = np.array([cv2.boundingRect(contour) for contour in found], np.int64).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    areas = np.array([cv2.contourArea(contour) for contour in found], np.float64)
    return Contours(boxes, areas)
