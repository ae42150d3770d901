"""The separability of a map is the share of variance that two classes explain."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from wsol.maps import box_confidence, separability

MAPS = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=2, max_dims=2, max_side=7),
    elements=st.floats(0, 1, width=32, allow_subnormal=False),
)


def explained(score_map: NDArray[np.float32], threshold: float) -> float:
    """Return the squared correlation of a map with what is above the threshold."""
    grey = np.floor(score_map * np.float32(255))
    above = grey > int(threshold * int(grey.max()))
    scores = score_map.astype(np.float64)
    if above.all() or not above.any() or scores.std() < 1e-9:
        return 0.0
    return float(np.corrcoef(scores.ravel(), above.ravel())[0, 1] ** 2)


@given(MAPS, st.floats(0, 1, exclude_max=True))
def test_it_is_the_squared_correlation_with_the_mask(
    score_map: NDArray[np.float32], threshold: float
) -> None:
    """Another way to say which share of the variance lies between the classes."""
    found = separability(score_map, threshold)
    assert 0 <= found <= 1
    assert found == pytest.approx(explained(score_map, threshold), abs=1e-5)


def edge(width: float) -> NDArray[np.float32]:
    """Return a disc whose rim is as wide as that."""
    y, x = np.mgrid[:48, :48] - 23.5
    return np.clip((14 - np.hypot(y, x)) / width + 0.5, 0, 1).astype(np.float32)


def test_a_vague_object_scores_less() -> None:
    """The wider the rim of the same object, the lower, and noise lowers it too."""
    scores = [separability(edge(width), 0.5) for width in (1, 4, 8, 16)]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > 0.97
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (48, 48))
    assert separability(np.clip(edge(1) + noise, 0, 1), 0.5) < scores[0] - 0.1


@pytest.mark.parametrize("bad", [np.full((2, 2), 1.5), np.zeros((2, 2, 2)), np.ones(3)])
def test_what_is_no_score_map_is_refused(bad: NDArray[np.float64]) -> None:
    """As for boxes."""
    with pytest.raises(ValueError, match="score map"):
        separability(bad, 0.5)


@given(MAPS, st.floats(0, 1, exclude_max=True))
def test_confidence_falls_with_the_border_above_the_threshold(
    score_map: NDArray[np.float32], threshold: float
) -> None:
    """Beside the count of border pixels one by one."""
    grey = np.floor(score_map * np.float32(255))
    above = grey > int(threshold * int(grey.max()))
    height, width = above.shape
    border = [
        above[row, column]
        for row in range(height)
        for column in range(width)
        if row in (0, height - 1) or column in (0, width - 1)
    ]
    expected = separability(score_map, threshold) * (1 - np.mean(border))
    assert box_confidence(score_map, threshold) == pytest.approx(expected, abs=1e-9)
