"""Histograms of a map's scores over object and background, in one pass over the pixels."""

import numpy as np
from numpy.typing import NDArray

from wsol.maps._numba import compiled

BACKGROUND, OBJECT, IGNORED = 0, 1, 255
"""Values of a true mask."""

# Indices are unsigned, or numba would ask of each whether it counts from the end.
ONE = np.uint32(1)


def score_histograms(
    score_map: NDArray[np.floating], mask: NDArray[np.uint8], thresholds: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Count a map's scores over background and object in the bins between thresholds.

    A score belongs to the bin ``[t_i, t_i+1)`` as its exact value says, so a float32 score just
    below a float64 threshold is below it. The counts are those of ``numpy.histogram``.

    Args:
        score_map: float ``(H, W)`` in [0, 1] wherever it is not ignored.
        mask: uint8 ``(H, W)``: 0 background, 1 object, 255 ignored.
        thresholds: float64 ``(T,)``, rising, from 0 and below 1.

    Returns:
        int64 ``(2, T + 2)``: background, then object. Two bins are above the last threshold's:
        ``[1, 2)``, and ``[2, 3]``, which is always empty.

    Raises:
        ValueError: of different shapes, thresholds that do not rise from 0 to below 1, a score
            outside [0, 1] or not a number, another value in the mask.

    Source: Choe et al., Evaluating Weakly Supervised Object Localization Methods Right, CVPR
    2020, section 3.2 (PxAP); bins as in the evaluator published with it.

    >>> score_map = np.array([[0.0, 0.5, 1.0, 0.7]])
    >>> mask = np.array([[0, 1, 1, 255]], np.uint8)
    >>> score_histograms(score_map, mask, np.array([0.0, 0.5])).tolist()
    [[1, 0, 0, 0], [0, 1, 1, 0]]
    """
    if score_map.ndim != 2 or score_map.shape != mask.shape:
        raise ValueError(f"score map {score_map.shape} and mask {mask.shape} are to be one (H, W)")
    edges = np.concatenate((thresholds, (1.0, 2.0, 3.0)))
    if edges[0] != 0 or not (edges[1:] > edges[:-1]).all():
        raise ValueError("thresholds are to rise from 0 to below 1")
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
                raise ValueError("a mask holds 0 (background), 1 (object) and 255 (ignored) only")
            score = score_map[y, x]
            if not 0.0 <= score <= 1.0:
                raise ValueError("a score is outside [0, 1]; normalize the map first")
            # Right for evenly spaced thresholds but for a rounding; the edges have the last word.
            index = np.uint32(score * steps)
            if not edges[index] <= score < edges[index + ONE]:
                index = np.uint32(np.searchsorted(edges, score, side="right") - 1)
            counts[kind, index] += 1
    return counts
