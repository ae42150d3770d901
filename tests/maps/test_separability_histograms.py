"""Counts are those of numpy.histogram, the published evaluator's, to the last pixel."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from wsol.maps import score_histograms
from wsol.metrics import default_thresholds

EVEN = default_thresholds(0.001)
UNEVEN = np.array([0.0, 1e-9, 0.1, 0.25, 0.250001, 0.9999])
THRESHOLDS = {
    "thousand": EVEN,
    "hundred": default_thresholds(0.01),
    "short_last_step": default_thresholds(0.003),
    "one": np.zeros(1),
    "uneven": UNEVEN,
}


def published(
    score_map: NDArray[np.floating], mask: NDArray[np.uint8], thresholds: NDArray[np.float64]
) -> list[list[int]]:
    """Return the counts as the published evaluator makes them, one histogram for each kind."""
    edges = np.append(thresholds, [1.0, 2.0, 3.0])
    return [np.histogram(score_map[mask == kind], edges)[0].tolist() for kind in (0, 1)]


def on_the_edges(thresholds: NDArray[np.float64], dtype: type[np.floating]) -> NDArray[np.floating]:
    """Return the edges as the type has them, with the numbers next to them on either side."""
    at = np.append(thresholds, 1.0).astype(dtype)
    zero, two = dtype(0), dtype(2)
    near = np.concatenate((np.nextafter(at, zero), at, np.nextafter(at, two)))
    return near[(near >= 0) & (near <= 1)][None]


@pytest.mark.parametrize("kind", [0, 1])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("name", THRESHOLDS)
def test_scores_on_and_beside_every_edge(name: str, dtype: type[np.floating], kind: int) -> None:
    """A score on an edge, or one number off it, falls as numpy's float64 comparison has it."""
    scores = on_the_edges(THRESHOLDS[name], dtype)
    mask = np.full(scores.shape, kind, np.uint8)
    counts = score_histograms(scores, mask, THRESHOLDS[name])
    assert counts.tolist() == published(scores, mask, THRESHOLDS[name])
    assert counts.sum() == scores.size


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 10**6), steps=st.integers(1, 40), rounded=st.booleans())
def test_random_maps_masks_and_thresholds(seed: int, steps: int, rounded: bool) -> None:
    """Any rising thresholds, with scores that repeat and lie on them, and ignored pixels."""
    random = np.random.default_rng(seed)
    inner = np.unique(random.random(steps))
    thresholds = np.append(0.0, inner[inner > 0])
    score_map = random.random((7, 11))
    if rounded:
        score_map = random.choice(np.append(thresholds, 1.0), (7, 11))
    mask = random.choice(np.array([0, 1, 255], np.uint8), (7, 11))
    counts = score_histograms(score_map, mask, thresholds)
    assert counts.tolist() == published(score_map, mask, thresholds)


def test_views_count_like_copies() -> None:
    """A transposed or cut-out map needs no copy."""
    random = np.random.default_rng(0)
    score_map = random.random((20, 30)).astype(np.float32)[::2, 3:].T
    mask = random.integers(0, 2, (20, 30), np.uint8)[::2, 3:].T
    assert score_histograms(score_map, mask, EVEN).tolist() == published(score_map, mask, EVEN)


def test_ignored_pixels_may_hold_anything() -> None:
    """Where the mask is 255, neither NaN nor a large score matters."""
    score_map = np.array([[np.nan, 7.0, 0.5]])
    counts = score_histograms(score_map, np.array([[255, 255, 1]], np.uint8), np.zeros(1))
    assert counts.tolist() == [[0, 0, 0], [1, 0, 0]]


@pytest.mark.parametrize("score", [np.nan, -1e-9, 1 + 1e-9, np.inf, -np.inf])
def test_a_score_outside_is_refused(score: float) -> None:
    """A map that was not normalised would be counted in the wrong bins."""
    with pytest.raises(ValueError, match="normalize the map"):
        score_histograms(np.array([[score]]), np.ones((1, 1), np.uint8), EVEN)


@pytest.mark.parametrize(("value", "dtype"), [(254, np.uint8), (2, np.uint8), (-1, np.int64)])
def test_another_mask_value_is_refused(value: int, dtype: type[np.integer]) -> None:
    """A mask of 0 and 254 would otherwise have no object."""
    mask = np.full((1, 1), value, dtype)
    with pytest.raises(ValueError, match="ignored"):
        score_histograms(np.zeros((1, 1)), mask, EVEN)


@pytest.mark.parametrize("shape", [(2, 3), (3, 2, 1), (6,)])
def test_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    """Map and mask are to have the same pixels."""
    with pytest.raises(ValueError, match=r"\(H, W\)"):
        score_histograms(np.zeros((3, 2)), np.zeros(shape, np.uint8), EVEN)


@pytest.mark.parametrize("thresholds", [[0.1, 0.5], [0.0, 0.5, 0.5], [0.0, 0.5, 0.2], [0.0, 1.0]])
def test_thresholds_that_do_not_rise_from_zero_are_refused(thresholds: list[float]) -> None:
    """Scores below the first edge would be lost, and bins of no width have no meaning."""
    with pytest.raises(ValueError, match="from 0"):
        score_histograms(np.zeros((1, 1)), np.zeros((1, 1), np.uint8), np.array(thresholds))
