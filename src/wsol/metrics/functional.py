"""The field's accuracies as pure functions of IoU curves and counts."""

import numpy as np
from numpy.typing import NDArray

IOU_LEVELS = (30, 50, 70)
"""IoU in percent at which a box counts as right, one MaxBoxAcc each."""


def default_thresholds(interval: float = 0.001) -> NDArray[np.float64]:
    """Return the thresholds that the published evaluator tries, ``(T,)`` in [0, 1).

    >>> default_thresholds(0.25)
    array([0.  , 0.25, 0.5 , 0.75])
    """
    return np.arange(0, 1, interval)


def box_hits(iou_curve: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return where a curve reaches each IoU level, ``(T,)`` to ``(T, 3)``.

    >>> box_hits(np.array([0.3, 0.69])).tolist()
    [[True, False, False], [True, True, False]]
    """
    return iou_curve[:, None] >= np.array(IOU_LEVELS) / 100


def best_threshold(hits: NDArray[np.int64], thresholds: NDArray[np.float64]) -> float:
    """Return the threshold with the most right boxes, the middle one of equals.

    Args:
        hits: number of images with a right box at each threshold, ``(T,)``.
        thresholds: ``(T,)``, rising.

    A plateau's middle is the choice that moves least when a few other images are drawn.

    >>> best_threshold(np.array([1, 4, 4, 4, 0]), np.array([0.0, 0.2, 0.4, 0.6, 0.8]))
    0.4
    """
    best = np.flatnonzero(hits == hits.max())
    return float(thresholds[best[len(best) // 2]])


def percent(count: float, total: float) -> float:
    """Return ``count`` as a percentage of ``total``.

    >>> percent(1, 8)
    12.5
    """
    return 100.0 * count / total
