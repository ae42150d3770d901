"""Contours are the outlines of 8-connected objects and of their holes."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from wsol.maps.contours import contours_at
from wsol.maps.levels import grey_levels, threshold_levels

FloodFill = Callable[[NDArray[np.bool_]], list[tuple[int, int, int, int]]]


@given(
    hnp.arrays(
        np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9), elements={"max_value": 5}
    ),
    st.integers(0, 5),
)
def test_boxes_are_those_of_a_flood_fill(
    flood_fill_boxes: FloodFill, grey: NDArray[np.uint8], level: int
) -> None:
    """Every object and every hole has its box, at every level."""
    contours = contours_at(grey, level)
    assert sorted(map(tuple, contours.boxes.tolist())) == flood_fill_boxes(grey > level)
    assert contours.boxes.dtype == np.int64
    assert contours.boxes.shape == (len(contours.areas), 4)


@given(st.integers(1, 9), st.integers(1, 7))
def test_area_is_that_of_the_polygon_through_pixel_centres(width: int, height: int) -> None:
    """A filled rectangle of w x h pixels has area (w - 1) (h - 1), so a thin line has none."""
    grey = np.zeros((12, 12), np.uint8)
    grey[2 : 2 + height, 1 : 1 + width] = 1
    assert contours_at(grey, 0).areas.tolist() == [(width - 1) * (height - 1)]


@given(st.integers(1, 7), st.integers(1, 5))
def test_area_of_a_hole_cuts_its_corners(width: int, height: int) -> None:
    """The outline of a hole joins the object's pixels beside it, diagonally at the corners."""
    grey = np.ones((12, 12), np.uint8)
    grey[3 : 3 + height, 2 : 2 + width] = 0
    contours = contours_at(grey, 0)
    assert sorted(contours.areas.tolist()) == [(width + 1) * (height + 1) - 2, 121]


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


@pytest.mark.parametrize("value", [0, 255])
def test_nothing_is_brighter_than_the_brightest(value: int) -> None:
    """A constant map has no contour at its own level."""
    contours = contours_at(np.full((3, 3), value, np.uint8), value)
    assert contours.boxes.shape == (0, 4)
    assert contours.areas.shape == (0,)
