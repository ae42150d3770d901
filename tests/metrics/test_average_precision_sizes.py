"""The share of the largest box, and the group it belongs to."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsol.metrics import OBJECT_SIZES, object_share, object_size


@given(st.integers(0, 10**6), st.integers(1, 4))
def test_the_share_is_that_of_painted_pixels(seed: int, count: int) -> None:
    """Of boxes painted on the image, the largest counts, and what hangs over does not."""
    random = np.random.default_rng(seed)
    corners = np.sort(random.integers(0, 14, (count, 2, 2)), axis=1).reshape(-1, 4)
    painted = np.zeros((count, 8, 10), bool)
    for canvas, (x0, y0, x1, y1) in zip(painted, corners.tolist(), strict=True):
        canvas[y0:y1, x0:x1] = True
    assert object_share(corners, size=(10, 8)) == painted.sum((1, 2)).max() / 80


@pytest.mark.parametrize(
    ("width", "name"), [(0, "small"), (9, "small"), (10, "medium"), (30, "medium"), (31, "large")]
)
def test_the_edges_are_medium(width: int, name: str) -> None:
    """Exactly 10 and 30 % are medium objects, whatever the rounding of the share."""
    share = object_share(np.array([[0.0, 0.0, width, 7.0]]), size=(100, 7))
    assert OBJECT_SIZES[object_size(share)] == name
