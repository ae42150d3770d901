"""Normalization of raw score maps to [0, 1], validation of score maps, and grey levels."""

import numpy as np
from numpy.typing import NDArray

from wsol.types import Normalization

PERCENTILES = {"pas": 0.9, "ivr": 0.45}
"""Fraction of the pixels below the value that is mapped to 1 (pas) or to 0 (ivr)."""

FLAT_STEPS = 128
"""Steps of the floating-point type within which scores count as equal: interpolating a constant map
gives differences of up to about 25 steps."""


GREY_LEVELS = 256
"""Bins of the histogram for Otsu's threshold."""


def is_flat(least: np.floating, most: np.floating) -> bool:
    """Return whether two scores of one dtype differ only by rounding errors."""
    # Maps of float16 are resized in float32.
    step = np.finfo(np.result_type(most.dtype, np.float32)).eps
    with np.errstate(over="ignore"):
        return bool(most - least <= FLAT_STEPS * step * max(abs(least), abs(most)))


def normalize(
    score_map: NDArray[np.floating], how: Normalization = "minmax", percentile: float | None = None
) -> tuple[NDArray[np.float32], bool]:
    """Scale a score map to [0, 1], and return whether it has an object.

    Values below the lower end become 0 and values above the upper end become 1:

    - ``minmax``: minimum and maximum of the map;
    - ``max``: 0 and the maximum;
    - ``pas`` (percentile as the standard): the minimum and a percentile;
    - ``ivr`` (inferior value removal): a percentile and the maximum;
    - ``otsu``: the minimum and the maximum, and Otsu's threshold of the map becomes 0.5 (see
      ``otsu_threshold``), linearly on either side. One threshold then has the same meaning in all
      maps, without ground truth.

    Args:
        score_map: raw scores, ``(H, W)``, any range.
        how: lower and upper end of the scale.
        percentile: fraction of the pixels, in [0, 1), for ``pas`` (default 0.9) and ``ivr`` (0.45).

    Returns:
        The map as float32 ``(H, W)`` in [0, 1], and True. A map that is constant except for
        rounding errors (see ``is_flat``), has NaN or infinite values, or has a lower end that is
        not below its upper end, does not rank pixels: the result is zeros and False.

    Raises:
        ValueError: the percentile is outside [0, 1).

    Source: ``docs/protocol.md``; Kim et al., Normalization Matters in Weakly Supervised Object
    Localization, ICCV 2021, section 3.

    >>> normalize(np.array([[1.0, 3.0], [2.0, 1.0]]))
    (array([[0. , 1. ],
           [0.5, 0. ]], dtype=float32), True)
    >>> normalize(np.array([[-1.0, 0.0, 2.0, 4.0]]), "max")
    (array([[0. , 0. , 0.5, 1. ]], dtype=float32), True)
    >>> normalize(np.array([[1.0, 2.0, 3.0, 5.0]]), "ivr", percentile=0.5)
    (array([[0., 0., 0., 1.]], dtype=float32), True)
    >>> normalize(np.array([[0.0, 1.0, 2.0, 8.0]]), "otsu")[0].round(2)
    array([[0.  , 0.11, 0.22, 1.  ]], dtype=float32)
    >>> normalize(np.ones((1, 2)))
    (array([[0., 0.]], dtype=float32), False)
    """
    share = PERCENTILES.get(how) if percentile is None else percentile
    if share is not None and not 0 <= share < 1:
        raise ValueError(f"a percentile is a fraction of the pixels, in [0, 1), not {share}")
    least, most = score_map.min(), score_map.max()
    nothing = np.zeros(score_map.shape, np.float32), False
    if not (np.isfinite(least) and np.isfinite(most)) or is_flat(least, most):
        return nothing
    with np.errstate(over="ignore"):
        if not np.isfinite(most - least):
            # Halving avoids overflow of the difference.
            score_map = score_map / 2
            least, most = least / 2, most / 2
    if how == "max":
        least = score_map.dtype.type(0)
    elif share is not None and how != "minmax":
        rank = int(score_map.size * share)
        value = np.partition(score_map, rank, axis=None)[rank]
        least, most = (least, value) if how == "pas" else (value, most)
    if is_flat(least, most):
        return nothing
    # Scores far beyond a short scale become infinite, and are clipped like any other.
    with np.errstate(over="ignore"):
        scaled = ((score_map - least) / (most - least)).clip(0, 1)
    if how == "otsu":
        scaled = _raise_to_half(scaled, otsu_threshold(scaled))
    return scaled.astype(np.float32), True


def otsu_threshold(score_map: NDArray[np.floating]) -> float:
    """Return the threshold that best separates a map's pixels into two classes.

    It maximizes the variance between the classes over all splits of a histogram of 256 bins. The
    threshold is the middle of the two class means: it splits the pixels in the same way, and is
    independent of gaps between the classes and of rounding errors.

    Args:
        score_map: float ``(H, W)`` in [0, 1], containing both 0 and 1.

    Source: Otsu, A Threshold Selection Method from Gray-Level Histograms, IEEE Transactions on
    Systems, Man, and Cybernetics 9, 1979, equation 18.

    >>> otsu_threshold(np.array([[0.0, 0.0, 0.2, 0.9, 1.0]])).__round__(2)
    0.51
    """
    bins = np.minimum(score_map * GREY_LEVELS, GREY_LEVELS - 1).astype(np.uint8)
    counts = np.bincount(bins.ravel(), minlength=GREY_LEVELS)
    centers = (np.arange(GREY_LEVELS) + 0.5) / GREY_LEVELS
    below, sums = counts.cumsum(), (counts * centers).cumsum()
    # No class is empty, as the first bin and the last one are not.
    low, high = sums[:-1] / below[:-1], (sums[-1] - sums[:-1]) / (below[-1] - below[:-1])
    best = (below[:-1] * (below[-1] - below[:-1]) * (high - low) ** 2).argmax()
    return float(low[best] + high[best]) / 2


def _raise_to_half(scaled: NDArray[np.floating], threshold: float) -> NDArray[np.floating]:
    """Map the threshold of a map in [0, 1] to 0.5, linearly on either side."""
    below, above = scaled * (0.5 / threshold), 1 - (1 - scaled) * (0.5 / (1 - threshold))
    # The steeper line comes first if the threshold is low.
    raised: NDArray[np.floating] = (np.minimum if threshold <= 0.5 else np.maximum)(below, above)
    return raised


def grey_levels(score_map: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Return the 8-bit grey levels of a map, truncated, not rounded.

    Args:
        score_map: float ``(H, W)`` in [0, 1].

    >>> grey_levels(np.array([[0.0, 0.999, 1.0]]))
    array([[  0, 254, 255]], dtype=uint8)
    """
    return (score_map * 255).astype(np.uint8)


def fine_levels(score_map: NDArray[np.floating]) -> NDArray[np.uint16]:
    """Return ``256 * grey_levels(score_map)`` and a remainder: grey levels with eight more bits.

    A product with a power of two is exact, so the upper byte equals the grey level.
    """
    return (score_map * (255 * 256)).astype(np.uint16)


def threshold_levels(
    grey: NDArray[np.unsignedinteger], thresholds: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Return the grey level of each threshold: pixels strictly above it are kept.

    Thresholds are fractions of the map's maximum, so a thousand thresholds are at most 255 levels.
    The grey levels may be those of any region with this maximum.
    """
    return (thresholds * int(grey.max())).astype(np.int64)


MOST_PIXELS = 2**29
"""Indices are int32, and a pixel has up to four links; with the margin of one pixel."""


def check_score_map(score_map: NDArray[np.floating]) -> None:
    """Raise a ValueError unless a map is float ``(H, W)`` in [0, 1], of fewer than 2^29 pixels."""
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
    """Raise a ValueError for thresholds outside [0, 1) or NaN."""
    if not ((thresholds >= 0) & (thresholds < 1)).all():
        raise ValueError("thresholds must be in [0, 1)")


def above_threshold(score_map: NDArray[np.floating], threshold: float) -> NDArray[np.bool_]:
    """Return the pixels whose grey level is above a threshold, after checking map and threshold."""
    thresholds = np.array([threshold])
    check_score_map(score_map)
    check_thresholds(thresholds)
    grey = grey_levels(score_map)
    # Contiguous, as numba would compile a separate version for other memory orders.
    return np.ascontiguousarray(grey > threshold_levels(grey, thresholds)[0])
