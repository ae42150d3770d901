"""Curves equal a slow evaluation of each threshold by itself."""

from collections.abc import Callable

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from wsol.maps.curves import iou_curves

FloodFill = Callable[[NDArray[np.bool_]], list[tuple[int, int, int, int]]]

SIDE = 10


def overlap(a: tuple[int, ...], b: tuple[int, ...]) -> float:
    """Return the IoU of two boxes, corners included, by painting them."""
    painted = np.zeros((2, SIDE + 2, SIDE + 2), bool)
    for canvas, (x0, y0, x1, y1) in zip(painted, (a, b), strict=True):
        canvas[y0 : y1 + 1, x0 : x1 + 1] = True
    return float(painted.all(0).sum() / painted.any(0).sum())


@st.composite
def cases(draw: st.DrawFn) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    """Draw a blocky map, true boxes and thresholds."""
    random = np.random.default_rng(draw(st.integers(0, 10**6)))
    score_map = random.choice(random.random(draw(st.integers(1, 6))), (SIDE, SIDE))
    corners = np.sort(random.integers(0, SIDE, (draw(st.integers(1, 3)), 2, 2)), axis=1)
    return score_map, corners.reshape(-1, 4), np.sort(random.random(draw(st.integers(1, 12))))


@settings(max_examples=50, deadline=None)
@given(case=cases())
def test_best_of_all_contours_is_that_of_every_threshold_by_itself(
    flood_fill_boxes: FloodFill,
    case: tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]],
) -> None:
    """Each value is the best IoU of any clipped box with any true box at that threshold."""
    score_map, truth, thresholds = case
    grey = np.floor(255 * score_map).astype(int)
    expected = []
    for threshold in thresholds.tolist():
        found = flood_fill_boxes(grey > int(threshold * grey.max()))
        clipped = [(x0, y0, min(x1, SIDE - 1), min(y1, SIDE - 1)) for x0, y0, x1, y1 in found]
        boxes = clipped or [(0, 0, 0, 0)]
        expected.append(max(overlap(box, true) for box in boxes for true in truth.tolist()))
    curves = iou_curves(score_map, truth, thresholds)
    assert curves.all.tolist() == expected
    assert (curves.largest <= curves.all).all()


def test_the_largest_contour_is_judged_even_if_another_fits() -> None:
    """A small contour on the object does not help the largest one beside it."""
    score_map = np.zeros((SIDE, SIDE))
    score_map[0:6, 0:6] = 1
    score_map[7:10, 7:10] = 1
    curves = iou_curves(score_map, np.array([[7, 7, 9, 9]]), np.array([0.5]))
    assert (curves.largest.tolist(), curves.all.tolist()) == ([0.0], [1.0])


def test_first_of_equal_areas_wins() -> None:
    """Of thin lines, all of area 0, OpenCV's first one is judged: the lowest in the picture."""
    score_map = np.zeros((SIDE, SIDE))
    score_map[1, 1:9] = score_map[4, 1:9] = score_map[7, 1:9] = 1
    boxes = np.array([[1, 7, 9, 8]])
    assert iou_curves(score_map, boxes, np.array([0.0])).largest.tolist() == [1.0]


def test_no_contour_is_one_box_at_the_origin() -> None:
    """A map of zeros is judged by the box 0 0 0 0, as the published evaluator does."""
    curves = iou_curves(np.zeros((8, 8)), np.array([[0, 0, 1, 0]]), np.array([0.0, 0.9]))
    assert curves.largest.tolist() == curves.all.tolist() == [0.5, 0.5]


def test_boxes_are_clipped_at_the_last_pixel() -> None:
    """A contour up to the border ends at W - 1 and H - 1."""
    score_map = np.zeros((6, 8))
    score_map[2:, 3:] = 1
    curves = iou_curves(score_map, np.array([[3, 2, 7, 5]]), np.array([0.1]))
    assert curves.largest.tolist() == [1.0]
