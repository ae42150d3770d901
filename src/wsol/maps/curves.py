"""IoU with the ground-truth boxes at every threshold, the basis of all box metrics."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from wsol.maps._opencv import contour_curves
from wsol.maps._tree import tree_curves
from wsol.maps.normalize import (
    check_score_map,
    check_thresholds,
    fine_levels,
    grey_levels,
    threshold_levels,
)
from wsol.types import ContourRule

Backend = Literal["tree", "opencv"]


class IouCurves(NamedTuple):
    """IoU of boxes from score maps with the ground-truth boxes at each threshold.

    Attributes:
        largest: float64 ``(T,)``, or ``(N, T)`` for a batch, of the contour with the largest area
            (MaxBoxAcc).
        all: float64, same shape, the best of all contours (MaxBoxAccV2).
    """

    largest: NDArray[np.float64]
    all: NDArray[np.float64]


def best_iou_curve(
    score_map: NDArray[np.floating],
    boxes: NDArray[np.integer],
    thresholds: NDArray[np.float64],
    contours: ContourRule = "all",
    backend: Backend = "tree",
) -> NDArray[np.float64]:
    """Return the best IoU of a map's boxes with the ground-truth boxes at each threshold, ``(T,)``.

    Args:
        score_map: float ``(H, W)`` in [0, 1], of any height and width.
        boxes: int ``(N, 4)``, N >= 1, ground-truth boxes x0 y0 x1 y1 inclusive in map pixels.
        thresholds: float64 ``(T,)`` in [0, 1).
        contours: ``all``: the best of all contours, including holes (MaxBoxAccV2);
            ``largest``: the contour with the largest area, the first of ties (MaxBoxAcc).
        backend: ``tree`` follows the components of all levels at once; ``opencv`` finds the
            contours of each level, which is much slower and serves as a reference (extra
            ``opencv``). The results are bit-identical.

    Raises:
        ValueError: the map, boxes or thresholds have an invalid shape or range, or the map has
            2^29 pixels or more.
        ConfigError: the backend needs an extra that is not installed.

    Source: Choe et al., Evaluating Weakly Supervised Object Localization Methods Right, CVPR
    2020, section 3.2.

    >>> score_map = np.zeros((8, 8))
    >>> score_map[2:5, 2:5] = 1
    >>> best_iou_curve(score_map, np.array([[2, 2, 5, 5]]), np.array([0.0, 0.5])).tolist()
    [1.0, 1.0]
    """
    curves = iou_curves(score_map, boxes, thresholds, backend)
    return curves.largest if contours == "largest" else curves.all


def best_iou_curves(
    score_maps: Sequence[NDArray[np.floating]] | NDArray[np.floating],
    boxes: Sequence[NDArray[np.integer]],
    thresholds: NDArray[np.float64],
    backend: Backend = "tree",
    threads: int | None = None,
) -> IouCurves:
    """Return the IoU curves of a batch of maps by both rules, ``(N, T)`` each.

    Args:
        score_maps: N maps, float ``(H, W)`` in [0, 1]; sizes may differ.
        boxes: for each map int ``(K, 4)``, K >= 1, ground-truth boxes x0 y0 x1 y1 inclusive in its
            pixels.
        thresholds: float64 ``(T,)`` in [0, 1).
        backend: see `best_iou_curve`.
        threads: number of threads; default: one per processor available to this process.

    Raises:
        ValueError: a map, boxes or thresholds have an invalid shape or range, or a map has 2^29
            pixels or more.
        ConfigError: the backend needs an extra that is not installed.

    >>> score_map = np.zeros((8, 8))
    >>> score_map[2:5, 2:5] = 1
    >>> best_iou_curves([score_map], [np.array([[2, 2, 5, 5]])], np.array([0.0, 0.5]))
    IouCurves(largest=array([[1., 1.]]), all=array([[1., 1.]]))
    """
    if len(score_maps) != len(boxes):
        raise ValueError(
            f"{len(score_maps)} score maps need as many lists of boxes, not {len(boxes)}"
        )
    result = IouCurves(*(np.empty((len(score_maps), len(thresholds))) for _ in range(2)))

    def fill(index: int) -> None:
        curves = iou_curves(score_maps[index], boxes[index], thresholds, backend)
        result.largest[index], result.all[index] = curves

    with ThreadPoolExecutor(threads or num_processors()) as pool:
        # Consumed as a list, so that errors in threads are raised here.
        list(pool.map(fill, range(len(score_maps))))
    return result


def num_processors() -> int:
    """Return the number of processors available to this process."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def iou_curves(
    score_map: NDArray[np.floating],
    boxes: NDArray[np.integer],
    thresholds: NDArray[np.float64],
    backend: Backend = "tree",
) -> IouCurves:
    """Return the IoU curves of one map by both rules, ``(T,)`` each.

    Args:
        score_map: float ``(H, W)`` in [0, 1], of any height and width.
        boxes: int ``(N, 4)``, N >= 1, ground-truth boxes x0 y0 x1 y1 inclusive in map pixels.
        thresholds: float64 ``(T,)`` in [0, 1).
        backend: see `best_iou_curve`.

    Raises:
        ValueError: the map, boxes or thresholds have an invalid shape or range, or the map has
            2^29 pixels or more.
        ConfigError: the backend needs an extra that is not installed.

    >>> score_map = np.zeros((8, 8))
    >>> score_map[2:5, 2:5] = 1
    >>> iou_curves(score_map, np.array([[2, 2, 5, 5]]), np.array([0.0, 0.5]))
    IouCurves(largest=array([1., 1.]), all=array([1., 1.]))
    """
    check_score_map(score_map)
    check_thresholds(thresholds)
    if boxes.ndim != 2 or boxes.shape[1] != 4 or len(boxes) == 0:
        raise ValueError(f"boxes must be (N, 4) with N >= 1, not {boxes.shape}")
    # A copy, as numba would compile a separate version for read-only arrays.
    ground_truth = np.array(boxes, np.int64, order="C")
    if backend == "tree":
        fine = np.ascontiguousarray(fine_levels(score_map))
        row, column = divmod(int(fine.argmax()), fine.shape[1])
        levels = threshold_levels(fine[row] >> 8, thresholds)
        largest, best = tree_curves(fine, (row, column), ground_truth)
    else:
        grey = grey_levels(score_map)
        levels = threshold_levels(grey, thresholds)
        largest, best = contour_curves(grey, ground_truth, np.unique(levels))
    return IouCurves(largest[levels], best[levels])
