"""Boxes of a mask are those of a flood fill, and the largest outline is OpenCV's first of those."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from wsol.maps._components import find_components
from wsol.maps._opencv import contours_at

FloodFill = Callable[[NDArray[np.bool_]], list[tuple[int, int, int, int]]]

MASKS = hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, max_side=10))

# A ring with an island in it that fills it but for a gap, and a square of the same outline.
RING = np.pad(np.ones((8, 8), bool), 1)
RING[2:8, 2:8] = False
RING[3:7, 3:7] = True
SOLID = np.pad(np.ones((8, 8), bool), 1)


def check(above: NDArray[np.bool_], flood_fill_boxes: FloodFill) -> None:
    """Compare boxes, their order, and which is the largest."""
    boxes, largest = find_components(above)
    assert boxes.tolist() == [list(box) for box in flood_fill_boxes(above)]
    contours = contours_at(above.astype(np.uint8), 0)
    if len(contours.areas) == 0:
        assert (boxes.shape, largest) == ((0, 4), -1)
    else:
        assert boxes[largest].tolist() == contours.boxes[contours.areas.argmax()].tolist()


@settings(deadline=None, max_examples=300)
@given(above=MASKS)
@example(above=np.zeros((4, 5), bool))
@example(above=np.ones((4, 5), bool))
@example(above=np.zeros((1, 1), bool))
@example(above=np.ones((1, 1), bool))
@example(above=np.ones((1, 7), bool))
@example(above=np.ones((7, 1), bool))
@example(above=np.array([[1, 0, 1, 1, 0, 1, 1]], bool))
@example(above=np.array([[1, 0, 1, 1, 0, 1, 1]], bool).T.copy())
@example(above=np.hstack((RING, SOLID)))
@example(above=np.hstack((SOLID, RING)))
@example(above=np.vstack((SOLID, RING)))
@example(above=np.vstack((RING, SOLID, RING)))
def test_small_masks(flood_fill_boxes: FloodFill, above: NDArray[np.bool_]) -> None:
    """Of every shape, with ties, holes and objects in holes."""
    check(above, flood_fill_boxes)


@pytest.mark.parametrize("share", [0.2, 0.4, 0.6, 0.8, 0.95])
@pytest.mark.parametrize("block", [1, 3])
def test_large_masks(flood_fill_boxes: FloodFill, share: float, block: int) -> None:
    """Of many objects and holes, as pixels and as blocks that touch at their corners."""
    random = np.random.default_rng(int(10 * share))
    for _ in range(10):
        above = random.random(random.integers(5, 40, 2)) < share
        check(above.repeat(block, 0).repeat(block, 1), flood_fill_boxes)


def test_the_input_stays_as_it_was() -> None:
    """Holes are filled in a copy."""
    above = RING.copy()
    find_components(above)
    assert np.array_equal(above, RING)
