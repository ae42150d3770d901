"""A slow, obvious reference for contours: flood fill instead of border following."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

Box = tuple[int, int, int, int]

CROSS = ((0, 1), (0, -1), (1, 0), (-1, 0))
AROUND = (*CROSS, (1, 1), (1, -1), (-1, 1), (-1, -1))


def components(
    mask: NDArray[np.bool_], steps: tuple[tuple[int, int], ...]
) -> list[list[tuple[int, int]]]:
    """Return the pixels (y, x) of each connected component."""
    left = set(zip(*np.nonzero(mask), strict=True))
    found = []
    while left:
        todo, members = [left.pop()], []
        while todo:
            y, x = todo.pop()
            members.append((y, x))
            near = {(y + dy, x + dx) for dy, dx in steps} & left
            left -= near
            todo += near
        found.append(members)
    return found


def contour_boxes_by_flood_fill(mask: NDArray[np.bool_]) -> list[Box]:
    """Return the boxes of the outlines of all objects and holes, sorted.

    Objects hang together over corners, holes do not; a hole's outline lies on the object.
    """
    boxes = []
    for members in components(mask, AROUND):
        y, x = np.array(members).T
        boxes.append((x.min(), y.min(), x.max() + 1, y.max() + 1))
    for members in components(np.pad(~mask, 1, constant_values=True), CROSS):
        if (0, 0) not in members:
            y, x = np.array(members).T - 1
            boxes.append((x.min() - 1, y.min() - 1, x.max() + 2, y.max() + 2))
    return sorted(tuple(map(int, box)) for box in boxes)


@pytest.fixture(scope="session")
def flood_fill_boxes() -> Callable[[NDArray[np.bool_]], list[Box]]:
    """Return the reference."""
    return contour_boxes_by_flood_fill
