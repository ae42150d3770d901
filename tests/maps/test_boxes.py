"""Boxes of one threshold are those of all contours, or that of the one with the largest area."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from wsol.maps._opencv import contours_at
from wsol.maps.boxes import boxes_at, scale_boxes

SIZES = st.tuples(st.integers(1, 4000), st.integers(1, 4000))


def test_area_decides_not_the_number_of_pixels() -> None:
    """A ring's outline has more area than a solid square of more pixels."""
    score_map = np.zeros((30, 30))
    score_map[1:14, 1:14] = 1
    score_map[2:13, 2:13] = 0
    score_map[18:27, 18:27] = 1
    ring, square = 13**2 - 11**2, 9**2
    assert ring < square
    assert boxes_at(score_map, 0.5, "largest").tolist() == [[1, 1, 14, 14]]


def test_pixels_at_the_threshold_do_not_belong_to_the_object() -> None:
    """Only pixels strictly above the threshold's grey level are kept."""
    score_map = np.array([[0.0, 0.4, 0.5, 0.6, 1.0]])
    assert boxes_at(score_map, 0.5, "largest").tolist() == [[3, 0, 5, 1]]
    assert boxes_at(score_map, 0.49, "largest").tolist() == [[2, 0, 5, 1]]


def test_holes_are_among_the_boxes() -> None:
    """The outline of a hole is a box like any other."""
    score_map = np.zeros((9, 9))
    score_map[1:8, 1:8] = 1
    score_map[3:5, 3:5] = 0
    assert sorted(boxes_at(score_map, 0.2).tolist()) == [[1, 1, 8, 8], [2, 2, 6, 6]]


def test_an_empty_map_has_no_box() -> None:
    """No object gives no box, rather than one of size zero."""
    assert boxes_at(np.zeros((5, 5)), 0.3, "largest").shape == (0, 4)
    assert boxes_at(np.zeros((5, 5)), 0.3).shape == (0, 4)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize(
    "kind", ["noise", "few levels", "rings", "row", "column", "islands", "plateaus"]
)
def test_boxes_are_those_of_a_flood_fill_and_the_largest_is_opencvs(
    flood_fill_boxes: Callable[[NDArray[np.bool_]], list[tuple[int, int, int, int]]],
    random_map: Callable[..., NDArray[np.float64]],
    kind: str,
    dtype: type[np.floating],
) -> None:
    """For any threshold, shape, order in memory and type; x1 and y1 lie past the last pixel."""
    random = np.random.default_rng(sum(map(ord, kind)))
    for _ in range(20):
        score_map = np.asfortranarray(random_map(kind, random).astype(dtype))
        score_map.setflags(write=False)
        grey = np.floor(score_map * 255).astype(np.uint8)
        for threshold in (0.0, *random.random(3).tolist()):
            level = int(threshold * grey.max())
            boxes = boxes_at(score_map, threshold)
            assert boxes.tolist() == [list(box) for box in flood_fill_boxes(grey > level)]
            assert boxes.dtype == np.int64
            contours = contours_at(grey, level)
            largest = contours.boxes[np.argmax(contours.areas)][None] if len(boxes) else boxes
            assert boxes_at(score_map, threshold, "largest").tolist() == largest.tolist()


@pytest.mark.parametrize("shape", [(1, 1), (1, 6), (6, 1), (3, 6)])
def test_a_constant_map_is_one_box(shape: tuple[int, int]) -> None:
    """Above 0 all pixels are of the object; at its own level none is."""
    height, width = shape
    for score in (1.0, 0.5):
        assert boxes_at(np.full(shape, score), 0.99).tolist() == [[0, 0, width, height]]
    assert boxes_at(np.full(shape, 0.001), 0.0).shape == (0, 4)


@pytest.mark.parametrize("threshold", [-0.1, 1.0, np.nan])
def test_a_threshold_is_a_share_below_1(threshold: float) -> None:
    """Anything else is refused."""
    with pytest.raises(ValueError, match="thresholds"):
        boxes_at(np.eye(3), threshold)


@pytest.mark.parametrize("score_map", [np.eye(3) * 2, np.full((2, 2), np.nan), np.zeros((0, 3))])
def test_a_map_that_is_not_normalised_is_refused(score_map: NDArray[np.float64]) -> None:
    """Its grey levels would be anything."""
    with pytest.raises(ValueError, match="a score map"):
        boxes_at(score_map, 0.3)


@given(SIZES, SIZES, st.lists(st.tuples(*[st.integers(0, 4000)] * 4), max_size=3))
def test_scaling_goes_there_and_back(
    size: tuple[int, int], to: tuple[int, int], boxes: list[tuple[int, int, int, int]]
) -> None:
    """A box scaled to another size and back is the box, and width and height scale alone."""
    array = np.array(boxes, np.int64).reshape(-1, 4)
    scaled = scale_boxes(array, size, to)
    np.testing.assert_allclose(scale_boxes(scaled, to, size), array, rtol=1e-12)
    np.testing.assert_allclose(scaled[:, ::2], array[:, ::2] * (to[0] / size[0]), rtol=1e-12)
    np.testing.assert_allclose(scaled[:, 1::2], array[:, 1::2] * (to[1] / size[1]), rtol=1e-12)


@example(side=55, to=224, x=55)
@example(side=80, to=224, x=45)
@given(side=st.integers(1, 4000), to=st.integers(1, 4000), x=st.integers(0, 4000))
def test_scaling_to_whole_pixels_truncates_exactly(side: int, to: int, x: int) -> None:
    """A coordinate that scales to a whole number is that number, not a hair below it."""
    scaled = scale_boxes(np.array([[x, x, x, x]]), (side, side), (to, to)).astype(np.int64)
    assert scaled.tolist() == [[x * to // side] * 4]
