"""Best overlap with the true boxes at every threshold, the curve behind all box metrics."""

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from wsol.maps.contours import Contours, contours_at, grey_levels, threshold_levels
from wsol.maps.iou import box_iou
from wsol.maps.tree import tree_curves

Backend = Literal["tree", "opencv"]

NO_BOX = np.zeros((1, 4), np.int64)


class IouCurves(NamedTuple):
    """IoU of one map's boxes with its true boxes at each threshold.

    Attributes:
        largest: float64 ``(T,)``, of the contour with the largest area (MaxBoxAcc).
        all: float64 ``(T,)``, the best of all contours (MaxBoxAccV2).
    """

    largest: NDArray[np.float64]
    all: NDArray[np.float64]


def clipped_boxes(contours: Contours, shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Return the boxes of contours as the published evaluator has them.

    They end at the map's last pixel, and a map without contour has the one box ``0 0 0 0``.

    >>> none = Contours(np.zeros((0, 4), np.int64), np.zeros(0))
    >>> clipped_boxes(none, (224, 224)).tolist()
    [[0, 0, 0, 0]]
    """
    if len(contours.boxes) == 0:
        return NO_BOX
    height, width = shape
    return np.minimum(contours.boxes, [width, height, width - 1, height - 1])


def best_iou_curves(
    score_map: NDArray[np.floating],
    boxes: NDArray[np.int64],
    thresholds: NDArray[np.float64],
    backend: Backend = "tree",
) -> IouCurves:
    """Return the best IoU of a map's boxes with the true boxes at each threshold.

    Args:
        score_map: float ``(H, W)`` in [0, 1].
        boxes: int ``(N, 4)``, N >= 1, true boxes x0 y0 x1 y1 inclusive in map pixels.
        thresholds: float64 ``(T,)`` in [0, 1).
        backend: ``tree`` follows the components of all levels at once; ``opencv`` finds the
            contours of each level, slower by far, to check against. Both give the same bits.

    Source: Choe et al., Evaluating Weakly Supervised Object Localization Methods Right, CVPR
    2020, section 3.2.

    >>> score_map = np.zeros((8, 8))
    >>> score_map[2:5, 2:5] = 1
    >>> best_iou_curves(score_map, np.array([[2, 2, 5, 5]]), np.array([0.0, 0.5]))
    IouCurves(largest=array([1., 1.]), all=array([1., 1.]))
    """
    grey = grey_levels(score_map)
    levels = threshold_levels(grey, thresholds)
    if backend == "tree":
        largest, best = tree_curves(np.ascontiguousarray(grey), np.ascontiguousarray(boxes))
    else:
        largest, best = contour_curves(grey, boxes, np.unique(levels))
    return IouCurves(largest[levels], best[levels])


def contour_curves(
    grey: NDArray[np.uint8], boxes: NDArray[np.int64], levels: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the IoU of the largest and of the best contour above the levels asked for.

    Args:
        grey: uint8 ``(H, W)``.
        boxes: int ``(N, 4)``, true boxes x0 y0 x1 y1 inclusive in map pixels.
        levels: int ``(L,)``.

    Returns:
        largest: float64 ``(256,)``, zero at levels not asked for.
        all: float64 ``(256,)``, the same.

    >>> grey = np.zeros((8, 8), np.uint8)
    >>> grey[2:5, 2:5] = 200
    >>> largest, best = contour_curves(grey, np.array([[2, 2, 5, 5]]), np.array([199]))
    >>> largest[198:200].tolist(), best[198:200].tolist()
    ([0.0, 1.0], [0.0, 1.0])
    """
    largest, best = np.zeros(256), np.zeros(256)
    for level in levels.tolist():
        contours = contours_at(grey, level)
        iou = box_iou(clipped_boxes(contours, grey.shape), boxes).max(1)
        best[level] = iou.max()
        # argmax takes the first of equals, as the published evaluator does.
        largest[level] = iou[contours.areas.argmax()] if len(contours.areas) else iou[0]
    return largest, best
