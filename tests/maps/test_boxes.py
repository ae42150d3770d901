"""The box of one threshold is that of the contour with the largest area."""

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

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
