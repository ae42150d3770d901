"""Grey levels are truncated, and a threshold is a share of the brightest."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from wsol.maps.normalize import fine_levels, grey_levels, threshold_levels

WIDTHS = {np.float16: 16, np.float32: 32, np.float64: 64}


@given(hnp.arrays(np.float64, (4, 5), elements=st.floats(0, 1)))
def test_grey_levels_are_truncated(score_map: NDArray[np.float64]) -> None:
    """A level is the whole part of 255 times the score."""
    expected = [[int(255 * score) for score in row] for row in score_map.tolist()]
    assert grey_levels(score_map).tolist() == expected


@given(st.integers(0, 255), st.lists(st.floats(0, 1, exclude_max=True), max_size=5))
def test_threshold_is_the_whole_part_of_a_share_of_the_maximum(
    brightest: int, thresholds: list[float]
) -> None:
    """The share is taken of the brightest level, not of 255, and truncated."""
    grey = np.array([[0, brightest]], np.uint8)
    expected = [int(threshold * brightest) for threshold in thresholds]
    assert threshold_levels(grey, np.array(thresholds)).tolist() == expected


@pytest.mark.parametrize("dtype", WIDTHS)
@given(st.data())
def test_the_upper_half_of_a_fine_level_is_the_grey_level(
    dtype: type[np.floating], data: st.DataObject
) -> None:
    """In every type and to the bit, and a brighter score has no lower fine level."""
    scores = np.sort(data.draw(hnp.arrays(dtype, 9, elements=st.floats(0, 1, width=WIDTHS[dtype]))))
    fine = fine_levels(scores)
    assert fine.dtype == np.uint16
    assert np.array_equal(fine >> 8, grey_levels(scores))
    assert (np.diff(fine.astype(int)) >= 0).all()


@pytest.mark.parametrize("dtype", WIDTHS)
def test_levels_at_and_beside_their_edges(dtype: type[np.floating]) -> None:
    """Every score where a grey level begins, and the numbers next to it on either side."""
    at = (np.arange(256) / 255).astype(dtype)
    scores = np.concatenate((np.nextafter(at[1:], dtype(0)), at, np.nextafter(at[:-1], dtype(1))))
    assert np.array_equal(fine_levels(scores) >> 8, grey_levels(scores))


def test_every_half_precision_score() -> None:
    """All 15,361 numbers of float16 in [0, 1]."""
    scores = np.arange(0x3C01, dtype=np.uint16).view(np.float16)
    assert scores[-1] == 1
    assert np.array_equal(fine_levels(scores) >> 8, grey_levels(scores))
    assert len(np.unique(fine_levels(scores))) > 256


def test_no_thresholds_are_no_levels() -> None:
    """An empty list is a list."""
    assert threshold_levels(np.zeros((1, 1), np.uint8), np.array([])).shape == (0,)
