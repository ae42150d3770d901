"""Contours are the outlines of 8-connected objects and of their holes."""

import sys
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from wsol.errors import ConfigError
from wsol.maps._opencv import contours_at
from wsol.maps.curves import iou_curves

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
    assert sorted(map(tuple, contours.boxes.tolist())) == sorted(flood_fill_boxes(grey > level))
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


@pytest.mark.parametrize("value", [0, 255])
def test_nothing_is_brighter_than_the_brightest(value: int) -> None:
    """A constant map has no contour at its own level."""
    contours = contours_at(np.full((3, 3), value, np.uint8), value)
    assert contours.boxes.shape == (0, 4)
    assert contours.areas.shape == (0,)


def test_without_opencv_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks for the slow twin is told what to install; the tree needs nothing."""
    monkeypatch.setitem(sys.modules, "cv2", None)
    arguments = np.eye(4), np.array([[0, 0, 3, 3]]), np.array([0.5])
    with pytest.raises(ConfigError, match=r"wsol\[opencv\]"):
        iou_curves(*arguments, backend="opencv")
    assert iou_curves(*arguments).all.tolist() == [1.0]
