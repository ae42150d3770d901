"""Localization metrics as pure functions of IoU curves, ranks and histograms.

All metrics are in percent, and None without images.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

IOU_LEVELS = (30, 50, 70)
"""IoU levels in percent at which a box counts as correct, one MaxBoxAcc each."""

IOU_UNIT = 2**36
"""Fixed-point representation of IoU 1: rounding errors of 1e-11 per image, up to 10^8 images."""


def default_thresholds(interval: float = 0.001) -> NDArray[np.float64]:
    """Return the thresholds of the published evaluator, ``(T,)`` in [0, 1).

    >>> default_thresholds(0.25)
    array([0.  , 0.25, 0.5 , 0.75])
    """
    return np.arange(0, 1, interval)


def box_hits(ious: NDArray[np.float64], levels: Sequence[int] = IOU_LEVELS) -> NDArray[np.bool_]:
    """Return whether IoU reaches each level, ``(...)`` to ``(..., L)``.

    Args:
        ious: float64 in [0, 1], any shape.
        levels: ``L`` levels in percent.

    >>> box_hits(np.array([0.3, 0.69])).tolist()
    [[True, False, False], [True, True, False]]
    """
    return ious[..., None] >= np.array(levels) / 100


def best_threshold(hits: NDArray[np.int64], thresholds: NDArray[np.float64]) -> float:
    """Return the threshold with the most correct boxes; the middle one of ties.

    Args:
        hits: number of images with a correct box at each threshold, ``(T,)``.
        thresholds: ``(T,)``, increasing.

    The middle of a plateau changes least with a different sample of images.

    >>> best_threshold(np.array([1, 4, 4, 4, 0]), np.array([0.0, 0.2, 0.4, 0.6, 0.8]))
    0.4
    """
    best = np.flatnonzero(hits == hits.max())
    return float(thresholds[best[len(best) // 2]])


def percent(count: int, total: int) -> float | None:
    """Return ``count`` as a percentage of ``total``, None if the total is zero.

    >>> percent(1, 8)
    12.5
    """
    # Division first, as in the published evaluator: it affects the last bit.
    return count / total * 100 if total else None


def max_box_acc(iou_curves: NDArray[np.float64], level: int = 50) -> float | None:
    """Return MaxBoxAcc: images with a correct box, at the best threshold for all images.

    Args:
        iou_curves: IoU of each image's largest contour at each threshold, float64 ``(N, T)``.
        level: IoU in percent that a correct box reaches.

    Source: Choe et al., Evaluating Weakly Supervised Object Localization Methods Right, CVPR
    2020, section 3.2.

    >>> max_box_acc(np.array([[0.9, 0.0], [0.2, 0.5]]))
    50.0
    """
    hits = box_hits(iou_curves, (level,)).sum(0)
    return percent(int(hits.max()), len(iou_curves))


def max_box_acc_v2(iou_curves: NDArray[np.float64]) -> float | None:
    """Return MaxBoxAccV2: the mean over three IoU levels, each at its best threshold.

    Args:
        iou_curves: best IoU of all of an image's contours at each threshold, float64 ``(N, T)``.

    Source: Choe et al., Evaluation for Weakly Supervised Object Localization: Protocol, Metrics,
    and Datasets, arXiv:2007.04178.

    >>> max_box_acc_v2(np.array([[0.9, 0.0], [0.2, 0.5]]))
    50.0
    """
    hits = box_hits(iou_curves).sum(0)
    return percent(int(hits.max(0).sum()), len(iou_curves) * len(IOU_LEVELS))


def gt_known(ious: NDArray[np.float64]) -> float | None:
    """Return GT-known Loc: images whose box reaches IoU 50, regardless of the predicted class.

    Args:
        ious: IoU of each image's box at the threshold in use, float64 ``(N,)``.

    Source: Choe & Shim, Attention-based Dropout Layer, CVPR 2019, section 4.1.

    >>> gt_known(np.array([0.5, 0.49]))
    50.0
    """
    return percent(int(box_hits(ious, (50,)).sum()), len(ious))


def top_k_loc(ious: NDArray[np.float64], ranks: NDArray[np.int64], k: int = 1) -> float | None:
    """Return top-k Loc: images whose box reaches IoU 50 and whose class is in the top ``k``.

    Args:
        ious: IoU of each image's box at the threshold in use, float64 ``(N,)``.
        ranks: number of classes with a higher score than the ground-truth class, int64 ``(N,)``;
            -1 without a prediction, which counts as incorrect.
        k: number of top classes.

    Source: Choe & Shim, Attention-based Dropout Layer, CVPR 2019, section 4.1.

    >>> top_k_loc(np.array([0.9, 0.9, 0.1, 0.9]), np.array([0, 1, 0, -1]))
    25.0
    """
    named = (ranks >= 0) & (ranks < k)
    return percent(int((box_hits(ious, (50,))[:, 0] & named).sum()), len(ious))


def fixed_point(ious: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return IoU as integer multiples of ``1 / IOU_UNIT``, whose sum is independent of order.

    Args:
        ious: float64 in [0, 1], any shape.

    >>> (fixed_point(np.array([0.0, 0.25, 1.0])) * 4 // IOU_UNIT).tolist()
    [0, 1, 4]
    """
    return np.rint(ious * IOU_UNIT).astype(np.int64)


def mean_iou(ious: NDArray[np.float64]) -> float | None:
    """Return the mean IoU in percent, within 1e-9, bit-identical for any order of the images.

    Args:
        ious: IoU of each image's box at the threshold in use, float64 ``(N,)`` in [0, 1].

    >>> mean_iou(np.array([0.25, 0.75]))
    50.0
    """
    return percent(int(fixed_point(ious).sum()), len(ious) * IOU_UNIT)


def pxap(histograms: NDArray[np.int64]) -> float | None:
    """Return PxAP: the area under the precision-recall curve of all pixels together.

    Args:
        histograms: number of background and object pixels by increasing score, int64 ``(2, B)``,
            see :func:`wsol.maps.score_histograms`.

    Returns:
        PxAP in percent; None without object pixels, as recall is then undefined.

    Each bin adds its precision, that of the pixels in it and above, times its step in recall.
    The highest bin is above all scores and has no step.

    Source: Choe et al., Evaluating Weakly Supervised Object Localization Methods Right, CVPR
    2020, section 3.2.

    >>> pxap(np.array([[4, 1, 0], [0, 1, 0]]))
    50.0
    """
    false, true = histograms[:, ::-1].cumsum(1)
    if true[-1] == 0:
        return None
    # Precision is undefined above all scores, but irrelevant as recall does not change there.
    precision = true / np.maximum(true + false, 1)
    recall = true / true[-1]
    return 100.0 * float((precision[1:] * np.diff(recall)).sum())


def localization_recall(
    ious: NDArray[np.float64], groups: NDArray[np.int64], num_groups: int
) -> list[float | None]:
    """Return GT-known Loc of each group of images, None for a group without images.

    Args:
        ious: IoU of each image's box at the threshold in use, float64 ``(N,)``.
        groups: group of each image, such as its class or its object size, int64 ``(N,)``.
        num_groups: number of groups.

    >>> localization_recall(np.array([0.9, 0.1, 0.6]), np.array([0, 0, 2]), 3)
    [50.0, None, 100.0]
    """
    return [gt_known(ious[groups == group]) for group in range(num_groups)]
