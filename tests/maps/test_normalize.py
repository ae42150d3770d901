"""A scaled map spans [0, 1] in the order of its scores, or says that it shows nothing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from wsol.maps.normalize import normalize

MAPS = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=2, max_dims=2, max_side=6),
    elements=st.floats(-1e6, 1e6, width=32, allow_subnormal=False),
)


@given(MAPS)
def test_a_map_spans_0_to_1_in_the_order_of_its_scores(score_map: NDArray[np.float32]) -> None:
    """The weakest pixel gets 0, the strongest 1, and no two change places."""
    scaled, has_object = normalize(score_map)
    assert scaled.dtype == np.float32
    assert scaled.shape == score_map.shape
    if score_map.min() == score_map.max():
        assert not has_object
        assert not scaled.any()
        return
    assert has_object
    assert (
        scaled[score_map == score_map.min()].tolist()
        == [0.0] * (score_map == score_map.min()).sum()
    )
    assert (scaled[score_map == score_map.max()] == 1).all()
    ranked = scaled.ravel()[np.argsort(score_map, axis=None)]
    assert (np.diff(ranked) >= 0).all()


@given(st.floats(0.5, 8), st.integers(-4, 4))
def test_units_do_not_matter(scale: float, offset: int) -> None:
    """Scores on another scale, or with a constant added, give the same map."""
    score_map = np.random.default_rng(0).random((5, 7))
    np.testing.assert_allclose(
        normalize(score_map * scale + offset)[0], normalize(score_map)[0], atol=1e-6
    )


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_map_that_is_not_finite_shows_nothing(bad: float) -> None:
    """One pixel that is not finite makes the map zeros without an object."""
    score_map = np.eye(4)
    score_map[1, 2] = bad
    scaled, has_object = normalize(score_map)
    assert not has_object
    assert scaled.tolist() == np.zeros((4, 4)).tolist()


def test_the_input_stays_as_it_was() -> None:
    """The caller's array is not written to."""
    score_map = np.array([[1.0, 3.0]])
    normalize(score_map)
    assert score_map.tolist() == [[1.0, 3.0]]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_range_beyond_the_type_is_scaled_too(dtype: type[np.floating]) -> None:
    """Scores whose difference is too large for their type span [0, 1] all the same."""
    most = np.finfo(dtype).max
    scaled, has_object = normalize(np.array([[-most, 0, most]], dtype))
    assert has_object
    assert scaled.tolist() == [[0, 0.5, 1]]


@given(MAPS)
def test_ordinary_maps_are_scaled_in_their_own_type(score_map: NDArray[np.float32]) -> None:
    """Bit by bit what the published evaluator computes."""
    low, high = score_map.min(), score_map.max()
    if low < high:
        assert np.array_equal(normalize(score_map)[0], (score_map - low) / (high - low))
