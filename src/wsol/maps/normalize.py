"""Scaling of a raw score map to [0, 1]."""

import numpy as np
from numpy.typing import NDArray


def normalize(score_map: NDArray[np.floating]) -> tuple[NDArray[np.float32], bool]:
    """Scale a score map to [0, 1] by its minimum and maximum, and say whether it had an object.

    Args:
        score_map: raw scores, ``(H, W)``, any range.

    Returns:
        The map as float32 ``(H, W)`` in [0, 1], and True. A constant map, or one with NaN or
        infinite values, ranks no pixel above another: it becomes zeros, and False is returned.

    Source: ``docs/protocol.md``; Choe et al., Evaluating Weakly Supervised Object Localization
    Methods Right, CVPR 2020, section 3.

    >>> normalize(np.array([[1.0, 3.0], [2.0, 1.0]]))
    (array([[0. , 1. ],
           [0.5, 0. ]], dtype=float32), True)
    >>> normalize(np.ones((1, 2)))
    (array([[0., 0.]], dtype=float32), False)
    """
    low, high = float(score_map.min()), float(score_map.max())
    if not (np.isfinite(low) and np.isfinite(high)) or low == high:
        return np.zeros(score_map.shape, np.float32), False
    with np.errstate(over="ignore"):
        span = score_map.max() - score_map.min()
    if not np.isfinite(span):
        # Of halves, no difference is too large for the type.
        score_map = score_map / 2
        span = score_map.max() - score_map.min()
    scaled = (score_map - score_map.min()) / span
    return scaled.astype(np.float32), True
