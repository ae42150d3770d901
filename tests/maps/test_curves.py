"""Curves equal a slow evaluation of each threshold by itself."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from wsol.maps.curves import Backend, best_iou_curve, best_iou_curves, iou_curves

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
    score_map, ground_truth, thresholds = case
    grey = np.floor(255 * score_map).astype(int)
    expected = []
    for threshold in thresholds.tolist():
        found = flood_fill_boxes(grey > int(threshold * grey.max()))
        clipped = [(x0, y0, min(x1, SIDE - 1), min(y1, SIDE - 1)) for x0, y0, x1, y1 in found]
        boxes = clipped or [(0, 0, 0, 0)]
        expected.append(max(overlap(box, true) for box in boxes for true in ground_truth.tolist()))
    curves = iou_curves(score_map, ground_truth, thresholds)
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
    """Of thin lines, all of area 0, OpenCV's first one is judged: the lowest in the image."""
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


def batch() -> tuple[list[NDArray[np.float32]], list[NDArray[np.int64]]]:
    """Return maps of several sizes, and one or more true boxes for each."""
    random = np.random.default_rng(0)
    shapes = [(9, 9), (1, 30), (17, 8), (30, 40), (1, 1), (25, 25), (8, 1)]
    maps = [random.random(shape, np.float32) for shape in shapes]
    boxes = [
        np.sort(random.integers(0, shape[::-1], (1 + index % 3, 2, 2)), 1).reshape(-1, 4)
        for index, shape in enumerate(shapes)
    ]
    return maps, boxes


@pytest.mark.parametrize("threads", [1, 2, 4, None])
def test_a_batch_is_its_maps_one_by_one(threads: int | None) -> None:
    """However many threads share the work, each row belongs to its map and boxes."""
    maps, boxes = batch()
    thresholds = np.arange(0, 1, 0.01)
    found = best_iou_curves(maps, boxes, thresholds, threads=threads)
    assert found.all.shape == found.largest.shape == (7, 100)
    for index, (score_map, ground_truth) in enumerate(zip(maps, boxes, strict=True)):
        alone = iou_curves(score_map, ground_truth, thresholds)
        assert np.array_equal(found.all[index], alone.all)
        assert np.array_equal(found.largest[index], alone.largest)


def test_a_batch_may_be_one_array() -> None:
    """Maps of one size need no list, and an empty batch is a batch."""
    maps = np.random.default_rng(0).random((3, 6, 7))
    boxes = [np.array([[1, 1, 4, 4]])] * 3
    thresholds = np.array([0.2, 0.7])
    found = best_iou_curves(maps, boxes, thresholds)
    assert np.array_equal(found.all, best_iou_curves(list(maps), boxes, thresholds).all)
    assert best_iou_curves([], [], thresholds).all.shape == (0, 2)


def test_a_batch_has_boxes_for_every_map() -> None:
    """One list too few would pair maps with the boxes of others."""
    maps, boxes = batch()
    with pytest.raises(ValueError, match="7 score maps"):
        best_iou_curves(maps, boxes[1:], np.array([0.5]))


@pytest.mark.parametrize("threads", [1, 2])
def test_an_error_in_a_batch_is_raised(threads: int) -> None:
    """In a thread too."""
    maps, boxes = batch()
    maps[3][2, 2] = np.nan
    with pytest.raises(ValueError, match="normalize"):
        best_iou_curves(maps, boxes, np.array([0.5]), threads=threads)


@pytest.mark.parametrize("backend", ["tree", "opencv"])
def test_one_curve_is_that_of_the_rule_asked_for(backend: Backend) -> None:
    """Unless told, the best of all contours."""
    score_map = np.zeros((SIDE, SIDE))
    score_map[0:6, 0:6] = 0.8
    score_map[7:10, 7:10] = 1
    ground_truth, thresholds = np.array([[7, 7, 9, 9]]), np.array([0.5, 0.9])
    assert best_iou_curve(score_map, ground_truth, thresholds, backend=backend).tolist() == [1, 1]
    largest = best_iou_curve(score_map, ground_truth, thresholds, "largest", backend)
    assert largest.tolist() == [0, 1]


@pytest.mark.parametrize("boxes", [np.zeros((0, 4), int), np.zeros(4, int), np.zeros((1, 5), int)])
def test_boxes_of_another_shape_are_refused(boxes: NDArray[np.int64]) -> None:
    """There is at least one, and it has four sides."""
    with pytest.raises(ValueError, match=r"\(N, 4\)"):
        iou_curves(np.eye(3), boxes, np.array([0.5]))


@pytest.mark.parametrize("score_map", [np.eye(3) * 2, np.full((2, 2), np.nan), np.zeros((0, 3))])
def test_a_map_that_is_not_normalised_is_refused(score_map: NDArray[np.float64]) -> None:
    """Its grey levels would be anything."""
    with pytest.raises(ValueError, match="a score map"):
        iou_curves(score_map, np.array([[0, 0, 1, 1]]), np.array([0.5]))


def test_a_threshold_below_0_is_refused() -> None:
    """It would be read from the other end of the curve."""
    with pytest.raises(ValueError, match="thresholds"):
        iou_curves(np.eye(3), np.array([[0, 0, 1, 1]]), np.array([-0.5]))


def test_no_thresholds_give_empty_curves() -> None:
    """Nothing asked, nothing answered."""
    curves = iou_curves(np.eye(3), np.array([[0, 0, 1, 1]]), np.array([]))
    assert curves.all.shape == curves.largest.shape == (0,)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_type_and_order_in_memory_decide_nothing(dtype: type[np.floating]) -> None:
    """A view that is turned, cut out and read-only, beside its plain copy, against OpenCV."""
    view = np.random.default_rng(0).random((40, 30)).astype(dtype)[3::2, ::-1].T
    view.setflags(write=False)
    ground_truth = np.asfortranarray([[2, 3, 12, 14], [1, 1, 7, 4]], np.int32)
    ground_truth.setflags(write=False)
    thresholds = np.arange(0, 1, 0.01)
    curves = iou_curves(view, ground_truth, thresholds)
    copied = iou_curves(np.ascontiguousarray(view), ground_truth.astype(np.int64), thresholds)
    contours = iou_curves(view, ground_truth, thresholds, backend="opencv")
    for other in (copied, contours):
        assert np.array_equal(curves.all, other.all)
        assert np.array_equal(curves.largest, other.largest)
