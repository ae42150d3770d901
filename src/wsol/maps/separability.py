"""Box confidence: how well a threshold separates the object from the background."""

import numpy as np
from numpy.typing import NDArray

from wsol.maps._numba import compiled
from wsol.maps.normalize import above_threshold


def separability(score_map: NDArray[np.floating], threshold: float) -> float:
    """Return the fraction of a map's variance between the pixels above and below a threshold.

    It is 1 if object and background are constant, and low if scores rise slowly from one to the
    other, or vary inside either.

    Args:
        score_map: float ``(H, W)`` in [0, 1].
        threshold: fraction of the map's maximum, in [0, 1).

    Returns:
        A number in [0, 1]; 0 if no pixel or every pixel is above the threshold.

    Raises:
        ValueError: the map or the threshold is outside its range.

    Source: Otsu, A Threshold Selection Method from Gray-Level Histograms, IEEE Transactions on
    Systems, Man, and Cybernetics 9, 1979, the measure eta of equation 12.

    >>> separability(np.array([[0.1, 0.1, 0.9, 0.9]]), 0.5).__round__(3)
    1.0
    >>> separability(np.array([[0.0, 0.4, 0.6, 1.0]]), 0.5).__round__(3)
    0.692
    """
    return _share(
        np.ascontiguousarray(score_map, np.float32), above_threshold(score_map, threshold)
    )


def box_confidence(score_map: NDArray[np.floating], threshold: float) -> float:
    """Return the confidence of the box at a threshold: low if the object boundary is uncertain.

    It is the separability, times the fraction of the map's border pixels that are not above the
    threshold: more of them are above if an object is truncated by the border, or if background is
    mistaken for it.

    Args:
        score_map: float ``(H, W)`` in [0, 1].
        threshold: fraction of the map's maximum, in [0, 1).

    Returns:
        A number in [0, 1].

    Raises:
        ValueError: the map or the threshold is outside its range.

    >>> score_map = np.zeros((4, 4))
    >>> score_map[1:3, 1:3] = 1
    >>> box_confidence(score_map, 0.5)
    1.0
    >>> score_map[3, 1:3] = 1
    >>> box_confidence(score_map, 0.5).__round__(3)
    0.833
    """
    separated = separability(score_map, threshold)
    border = above_threshold(score_map, threshold)
    border[1:-1, 1:-1] = False
    height, width = border.shape
    inside = max(height - 2, 0) * max(width - 2, 0)
    share: float = np.count_nonzero(border) / (height * width - inside)
    return float(separated * (1 - share))


@compiled(nogil=True)
def _share(score_map: NDArray[np.float32], above: NDArray[np.bool_]) -> float:
    scores, is_above = score_map.ravel(), above.ravel()
    count, inside, total, squares = 0, 0.0, 0.0, 0.0
    for pixel in range(scores.size):
        score = np.float64(scores[pixel])
        total += score
        squares += score * score
        if is_above[pixel]:
            count += 1
            inside += score
    outside = scores.size - count
    variance = squares - total * total / scores.size
    if count == 0 or outside == 0 or variance <= 0:
        return 0.0
    difference = inside / count - (total - inside) / outside
    # Rounding errors must not exceed 1.
    return min(count * outside / scores.size * difference * difference / variance, 1.0)


BACKGROUND, OBJECT, IGNORED = 0, 1, 255
"""Values of a ground-truth mask."""

# Unsigned indices, so that numba does not check for negative indices.
ONE = np.uint32(1)


def score_histograms(
    score_map: NDArray[np.floating], mask: NDArray[np.uint8], thresholds: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Count a map's scores over background and object in the bins between thresholds.

    A score belongs to the bin ``[t_i, t_i+1)`` by its exact value, so a float32 score just below a
    float64 threshold is below it. The counts equal those of ``numpy.histogram``.

    Args:
        score_map: float ``(H, W)`` in [0, 1] except in ignored pixels.
        mask: uint8 ``(H, W)``: 0 background, 1 object, 255 ignored.
        thresholds: float64 ``(T,)``, increasing, from 0 and below 1.

    Returns:
        int64 ``(2, T + 2)``: background, then object. Two bins are above the last threshold's:
        ``[1, 2)``, and ``[2, 3]``, which is always empty.

    Raises:
        ValueError: shapes differ, thresholds do not increase from 0 to below 1, a score is outside
            [0, 1] or NaN, or the mask has another value.

    Source: Choe et al., Evaluating Weakly Supervised Object Localization Methods Right, CVPR
    2020, section 3.2 (PxAP); bins as in the evaluator published with it.

    >>> score_map = np.array([[0.0, 0.5, 1.0, 0.7]])
    >>> mask = np.array([[0, 1, 1, 255]], np.uint8)
    >>> score_histograms(score_map, mask, np.array([0.0, 0.5])).tolist()
    [[1, 0, 0, 0], [0, 1, 1, 0]]
    """
    if score_map.ndim != 2 or score_map.shape != mask.shape:
        raise ValueError(f"score map {score_map.shape} and mask {mask.shape} must be one (H, W)")
    edges = np.concatenate((thresholds, (1.0, 2.0, 3.0)))
    if edges[0] != 0 or not (edges[1:] > edges[:-1]).all():
        raise ValueError("thresholds must increase from 0 to below 1")
    # Numba has no float16; a wider type holds the same value.
    wide = score_map.astype(np.result_type(score_map, np.float32), copy=False)
    return _count(wide, mask, edges)


@compiled(nogil=True)
def _count(
    score_map: NDArray[np.floating], mask: NDArray[np.uint8], edges: NDArray[np.float64]
) -> NDArray[np.int64]:
    bins = len(edges) - 1
    steps = bins - 2
    counts = np.zeros((2, bins), np.int64)
    height, width = score_map.shape
    for y in range(height):
        for x in range(width):
            kind = mask[y, x]
            if kind == IGNORED:
                continue
            if kind != BACKGROUND and kind != OBJECT:
                raise ValueError("mask values must be 0 (background), 1 (object) or 255 (ignored)")
            score = score_map[y, x]
            if not 0.0 <= score <= 1.0:
                raise ValueError("a score is outside [0, 1]; normalize the map first")
            # Exact for evenly spaced thresholds except for rounding; corrected by the edges.
            index = np.uint32(score * steps)
            if not edges[index] <= score < edges[index + ONE]:
                index = np.uint32(np.searchsorted(edges, score, side="right") - 1)
            counts[kind, index] += 1
    return counts
