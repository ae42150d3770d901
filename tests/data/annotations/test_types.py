"""What can be wrong with a box whose image's size is known."""

import pytest

from wsol.data.annotations.types import box_fault


@pytest.mark.parametrize(
    ("box", "right"),
    [
        ((0, 0, 8, 6), True),
        ((0, 0, 9, 7), True),
        ((0, 0, 9.01, 6), False),
        ((0, 0, 8, 7.01), False),
    ],
)
def test_a_box_may_end_at_the_edge(box: tuple[float, ...], right: bool) -> None:
    """On the far edge of the last pixel, or a pixel behind it, and no further."""
    x0, y0, x1, y1 = box
    assert (box_fault((x0, y0, x1, y1), size=(8, 6)) is None) == right
    assert box_fault((x0, y0, x1, y1)) is None
