"""How sure the box of a map is: how well a threshold separates the object from the background."""

import numpy as np
from numpy.typing import NDArray

from wsol.maps._numba import compiled
from wsol.maps.normalize import check_score_map, check_thresholds, grey_levels, threshold_levels


def separability(score_map: NDArray[np.floating], threshold: float) -> float:
    """Return which share of a map's variance lies between the pixels above and below a threshold.

    It is 1 where object and background are constant, and low where scores rise slowly from one to
    the other, or where either has parts of its own.

    Args:
        score_map: float ``(H, W)`` in [0, 1].
        threshold: share of the map's maximum, in [0, 1).

    Returns:
        A number in [0, 1]; 0 where no pixel or every pixel is above the threshold.

    Raises:
        ValueError: a map or threshold outside its range.

    Source: Otsu, A Threshold Selection Method from Gray-Level Histograms, IEEE Transactions on
    Systems, Man, and Cybernetics 9, 1979, the measure eta of equation 12.

    >>> separability(np.array([[0.1, 0.1, 0.9, 0.9]]), 0.5).__round__(3)
    1.0
    >>> separability(np.array([[0.0, 0.4, 0.6, 1.0]]), 0.5).__round__(3)
    0.692
    """
    return _share(np.ascontiguousarray(score_map, np.float32), _above(score_map, threshold))


def box_confidence(score_map: NDArray[np.floating], threshold: float) -> float:
    """Return how sure the box at a threshold is: low where it is doubtful where the object ends.

    It is the separability, times the share of the map's border pixels that are not above the
    threshold: where an object is cut off by the border, or background is taken for it, more of the
    border is above.

    Args:
        score_map: float ``(H, W)`` in [0, 1].
        threshold: share of the map's maximum, in [0, 1).

    Returns:
        A number in [0, 1].

    Raises:
        ValueError: a map or threshold outside its range.

    >>> score_map = np.zeros((4, 4))
    >>> score_map[1:3, 1:3] = 1
    >>> box_confidence(score_map, 0.5)
    1.0
    >>> score_map[3, 1:3] = 1
    >>> box_confidence(score_map, 0.5).__round__(3)
    0.833
    """
    separated = separability(score_map, threshold)
    border = _above(score_map, threshold)
    border[1:-1, 1:-1] = False
    height, width = border.shape
    inside = max(height - 2, 0) * max(width - 2, 0)
    share: float = np.count_nonzero(border) / (height * width - inside)
    return float(separated * (1 - share))


def _above(score_map: NDArray[np.floating], threshold: float) -> NDArray[np.bool_]:
    thresholds = np.array([threshold])
    check_score_map(score_map)
    check_thresholds(thresholds)
    grey = grey_levels(score_map)
    return np.ascontiguousarray(grey > threshold_levels(grey, thresholds)[0])


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
    # Rounding errors must not make it more than the whole.
    return min(count * outside / scores.size * difference * difference / variance, 1.0)
