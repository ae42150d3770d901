"""Contours of a thresholded score map by OpenCV: a simple reference implementation."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from wsol.errors import not_installed
from wsol.maps.boxes import box_iou


class Contours(NamedTuple):
    """Contours of one thresholded map, of objects and holes, in OpenCV's order.

    Attributes:
        boxes: int64 ``(N, 4)``, x0 y0 x1 y1 in map pixels; x1 and y1 lie one past the last
            pixel. A hole's contour follows the surrounding object pixels.
        areas: float64 ``(N,)``, area of the contour polygon in square pixels; a thin line has
            area 0.
    """

    boxes: NDArray[np.int64]
    areas: NDArray[np.float64]


def contours_at(grey: NDArray[np.uint8], level: int) -> Contours:
    """Return the contours of the pixels that are strictly brighter than ``level``.

    Args:
        grey: uint8 ``(H, W)``.
        level: grey level, 0 to 255.

    Raises:
        ConfigError: OpenCV is not installed.

    >>> grey = np.zeros((4, 6), np.uint8)
    >>> grey[1:3, 1:5] = 9
    >>> contours_at(grey, 8).boxes.tolist(), contours_at(grey, 8).areas.tolist()
    ([[1, 1, 5, 3]], [3.0])
    """
    try:
        import cv2
    except ImportError as error:
        raise not_installed("cv2", "wsol[opencv]") from error
    found, _ = cv2.findContours(
        (grey > level).astype(np.uint8), cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE
    )
    boxes = np.array([cv2.boundingRect(contour) for contour in found], np.int64).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    areas = np.array([cv2.contourArea(contour) for contour in found], np.float64)
    return Contours(boxes, areas)


def contour_curves(
    grey: NDArray[np.uint8], boxes: NDArray[np.int64], levels: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the IoU ``(256,)`` of the largest and of the best contour above the given levels.

    It is zero at other levels. Ground-truth boxes are x0 y0 x1 y1 inclusive in map pixels.
    """
    height, width = grey.shape
    largest, best = np.zeros(256), np.zeros(256)
    for level in levels.tolist():
        contours = contours_at(grey, level)
        found = contours.boxes if len(contours.boxes) else np.zeros((1, 4), np.int64)
        # The published boxes end at the map's last pixel.
        found = np.minimum(found, [width, height, width - 1, height - 1])
        iou = box_iou(found, boxes).max(1)
        best[level] = iou.max()
        # argmax takes the first of ties, as the published evaluator does.
        largest[level] = iou[contours.areas.argmax()] if len(contours.areas) else iou[0]
    return largest, best
