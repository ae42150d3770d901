"""What a score map and thresholds must be, asked before anything is read from them."""

import numpy as np
from numpy.typing import NDArray

MOST_PIXELS = 2**29
"""Indices are int32, and a pixel has up to four links; with the margin of one pixel."""


def check_score_map(score_map: NDArray[np.floating]) -> None:
    """Refuse what has no grey levels.

    Args:
        score_map: float ``(H, W)`` in [0, 1].

    Raises:
        ValueError: another shape or type, 2^29 pixels or more, values outside [0, 1] or NaN.

    >>> check_score_map(np.array([[0.5, 1.5]]))
    Traceback (most recent call last):
    ValueError: a score map must be in [0, 1]; normalize it first
    """
    if score_map.ndim != 2 or score_map.size == 0:
        raise ValueError(f"a score map must be (H, W), not {score_map.shape}")
    height, width = score_map.shape
    if (height + 2) * (width + 2) >= MOST_PIXELS:
        raise ValueError(f"a score map of {height} x {width} pixels is too large; resize it first")
    if score_map.dtype.kind != "f":
        raise ValueError(f"a score map must hold floats, not {score_map.dtype}")
    if not 0 <= score_map.min() <= score_map.max() <= 1:
        raise ValueError("a score map must be in [0, 1]; normalize it first")


def check_thresholds(thresholds: NDArray[np.float64]) -> None:
    """Refuse thresholds outside [0, 1), and NaN.

    >>> check_thresholds(np.array([0.0, 1.0]))
    Traceback (most recent call last):
    ValueError: thresholds must be in [0, 1)
    """
    if not ((thresholds >= 0) & (thresholds < 1)).all():
        raise ValueError("thresholds must be in [0, 1)")
