"""What would be measured wrongly is refused."""

import numpy as np
import pytest

from wsol.maps.normalize import check_score_map, check_thresholds


@pytest.mark.parametrize("shape", [(3,), (2, 2, 1), (0, 4), (4, 0)])
def test_a_map_has_height_and_width(shape: tuple[int, ...]) -> None:
    """A batch or an empty map is no map."""
    with pytest.raises(ValueError, match=r"\(H, W\)"):
        check_score_map(np.zeros(shape))


@pytest.mark.parametrize("score", [np.nan, np.inf, -1e-9, 1 + 1e-9])
def test_scores_lie_between_0_and_1(score: float) -> None:
    """A map that was not normalised has no grey levels."""
    with pytest.raises(ValueError, match="normalize it first"):
        check_score_map(np.array([[0.5, score]]))


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.bool_])
def test_scores_are_floats(dtype: type[np.generic]) -> None:
    """Grey levels are not taken for scores."""
    with pytest.raises(ValueError, match="floats"):
        check_score_map(np.zeros((2, 2), dtype))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_all_floats_in_range_will_do(dtype: type[np.floating]) -> None:
    """Of every width, from one pixel on."""
    check_score_map(np.array([[0, 1]], dtype))
    check_score_map(np.zeros((1, 1), dtype))


def test_a_map_whose_indices_would_not_fit_is_refused_at_once() -> None:
    """Indices are int32, and there may be four links a pixel: refused before it is read."""
    whole = np.broadcast_to(np.float32(0.5), (2**14 - 2, 2**15 - 2))
    assert np.iinfo(np.int32).max < 4 * 2**14 * 2**15
    with pytest.raises(ValueError, match="16382 x 32766 pixels is too large"):
        check_score_map(whole)
    # With a row less nothing would overflow, and only its type is wrong.
    with pytest.raises(ValueError, match="floats"):
        check_score_map(np.broadcast_to(np.True_, (2**14 - 3, 2**15 - 2)))


@pytest.mark.parametrize("threshold", [-1e-9, 1.0, np.nan])
def test_thresholds_are_shares_below_1(threshold: float) -> None:
    """A threshold below 0 would be read from the end of the curve."""
    with pytest.raises(ValueError, match="thresholds"):
        check_thresholds(np.array([0.5, threshold]))
    check_thresholds(np.array([0.0, np.nextafter(1, 0)]))
    check_thresholds(np.array([]))
