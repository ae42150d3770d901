"""IoU equals the count of shared pixels."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from wsol.maps.boxes import box_iou

SIDE = 12


@st.composite
def boxes(draw: st.DrawFn) -> list[tuple[int, int, int, int]]:
    """Draw boxes with both corners inside a small grid."""
    corner = st.integers(0, SIDE - 1)
    pairs = st.tuples(corner, corner).map(sorted)
    sides = draw(st.lists(st.tuples(pairs, pairs), min_size=1, max_size=4))
    return [(x[0], y[0], x[1], y[1]) for x, y in sides]


def pixels(box: tuple[int, int, int, int]) -> set[tuple[int, int]]:
    """Return the pixels of a box, both corners included."""
    x0, y0, x1, y1 = box
    return {(x, y) for x in range(x0, x1 + 1) for y in range(y0, y1 + 1)}


@given(boxes(), boxes())
def test_iou_counts_pixels(
    a: list[tuple[int, int, int, int]], b: list[tuple[int, int, int, int]]
) -> None:
    """IoU is the number of shared pixels over the number of pixels of either box."""
    found = box_iou(np.array(a), np.array(b))
    expected = [
        [len(pixels(one) & pixels(two)) / len(pixels(one) | pixels(two)) for two in b] for one in a
    ]
    assert found.tolist() == expected


def test_touching_boxes_share_a_row() -> None:
    """A box that starts on the last pixel of another one overlaps it; one pixel on it does not."""
    a = np.array([[0, 0, 3, 3]])
    found = box_iou(a, np.array([[3, 0, 5, 3], [4, 0, 6, 3]]))
    assert found.tolist() == [[4 / 24, 0.0]]
