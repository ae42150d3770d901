"""Grey levels: what a threshold means on a map of 8 bits."""

import numpy as np
from numpy.typing import NDArray


def grey_levels(score_map: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Return the 8-bit grey levels of a map, truncated, not rounded.

    Args:
        score_map: float ``(H, W)`` in [0, 1].

    >>> grey_levels(np.array([[0.0, 0.999, 1.0]]))
    array([[  0, 254, 255]], dtype=uint8)
    """
    return (score_map * 255).astype(np.uint8)


def fine_levels(score_map: NDArray[np.floating]) -> NDArray[np.uint16]:
    """Return grey levels with eight bits more: ``256 * grey_levels(score_map)`` and a remainder.

    Args:
        score_map: float ``(H, W)`` in [0, 1].

    A product with a power of two is exact, so the upper half is the grey level to the bit.

    >>> fine_levels(np.array([[0.0, 0.999, 1.0]])) >> 8
    array([[  0, 254, 255]], dtype=uint16)
    """
    return (score_map * (255 * 256)).astype(np.uint16)


def threshold_levels(
    grey: NDArray[np.unsignedinteger], thresholds: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Return the grey level of each threshold: pixels strictly above it are kept.

    A threshold is a share of the map's maximum, so a thousand thresholds are at most 255 levels.

    Args:
        grey: grey levels, 0 to 255, of the map or of any part with its maximum.
        thresholds: float64 ``(T,)`` in [0, 1).

    >>> threshold_levels(np.array([[200]], np.uint8), np.array([0.0, 0.499, 0.5])).tolist()
    [0, 99, 100]
    """
    return (thresholds * int(grey.max())).astype(np.int64)
