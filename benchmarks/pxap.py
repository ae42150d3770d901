"""Time saved by computing the histograms of PxAP in one pass over the pixels.

    python benchmarks/pxap.py

Counts the scores of score maps of 224 x 224 pixels over object and background at a thousand
thresholds, with :func:`wsol.maps.score_histograms` and as in the published evaluator, by two
calls of ``numpy.histogram``. They alternate per map, so a busy machine slows both equally. Checks
that the counts are equal, and prints the time per map and the ratio of the medians.
"""

import time
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from wsol.maps import normalize, score_histograms
from wsol.metrics import default_thresholds

NUM_MAPS = 200
SIDE = 224

Counter = Callable[[NDArray[np.float32], NDArray[np.uint8], NDArray[np.float64]], NDArray[np.int64]]


def published(
    score_map: NDArray[np.float32], mask: NDArray[np.uint8], thresholds: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Return the counts by one histogram for each kind of pixel."""
    edges = np.append(thresholds, [1.0, 2.0, 3.0])
    return np.stack([np.histogram(score_map[mask == kind], edges)[0] for kind in (0, 1)])


def draw(random: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Return a smooth map from 14 x 14 scores, and a mask: a disc with an ignored ring."""
    coarse = random.random((14, 14)).astype(np.float32)
    score_map, _ = normalize(cv2.resize(coarse, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC))
    mask = np.zeros((SIDE, SIDE), np.uint8)
    centre = random.integers(60, SIDE - 60, 2).tolist()
    radius = int(random.integers(20, 60))
    cv2.circle(mask, centre, radius + 8, 255, thickness=-1)
    cv2.circle(mask, centre, radius, 1, thickness=-1)
    return score_map, mask


def seconds(
    count: Counter,
    score_map: NDArray[np.float32],
    mask: NDArray[np.uint8],
    thresholds: NDArray[np.float64],
) -> float:
    """Return the duration of one call."""
    begin = time.perf_counter()
    count(score_map, mask, thresholds)
    return time.perf_counter() - begin


def main() -> None:
    """Time both on every map."""
    random = np.random.default_rng(0)
    thresholds = default_thresholds()
    fast, slow = [], []
    for index in range(NUM_MAPS + 1):
        case = (*draw(random), thresholds)
        np.testing.assert_array_equal(score_histograms(*case), published(*case))
        if index > 0:  # The first call compiles.
            fast.append(seconds(score_histograms, *case))
            slow.append(seconds(published, *case))
    one_pass, pair = np.median(fast), np.median(slow)
    print(f"one pass:             {1e6 * one_pass:7.0f} us per map")
    print(f"numpy.histogram pair: {1e6 * pair:7.0f} us per map")
    print(f"ratio: {pair / one_pass:.1f}")


if __name__ == "__main__":
    main()
