"""What is found does climb to the start, and on a plain hill all of it is found."""

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from wsol.maps._basins import spread

Pixel = tuple[int, int]


def climbers(grey: NDArray[np.uint8], start: NDArray[np.uint8], eight: bool) -> set[Pixel]:
    """Return all pixels that climb to the start, by walking down from it."""
    height, width = grey.shape
    todo = [(int(y), int(x)) for y, x in np.argwhere(start)]
    found = set(todo)
    while todo:
        y, x = todo.pop()
        for dy in (-1, 0, 1):
            for dx in (-1, 0, 1):
                there = (y + dy, x + dx)
                inside = 0 < there[0] < height - 1 and 0 < there[1] < width - 1
                touches = eight or abs(dy) + abs(dx) == 1
                if inside and touches and there not in found and grey[there] <= grey[y, x]:
                    found.add(there)
                    todo.append(there)
    return found


def test_only_what_climbs_is_found(small_maps: Sequence[tuple[NDArray, ...]]) -> None:
    """No pixel is found that would have to go down on its way, and the start always is."""
    shares = []
    for grey, _, start, steps in small_maps:
        eight = len(steps) == 8
        before = start.copy()
        reached = spread(grey, start, eight)
        found = {(int(y), int(x)) for y, x in np.argwhere(reached)}
        wanted = climbers(grey, start, eight)
        assert found <= wanted
        assert (reached >= start).all()
        assert (start == before).all()
        shares.append(len(found) / len(wanted))
    # Not all, but most: otherwise the slow search would be left with the work.
    assert np.mean(shares) > 0.95


@pytest.mark.parametrize("peak", [(1, 1), (5, 9), (10, 3), (10, 12)])
@pytest.mark.parametrize("eight", [True, False])
def test_all_of_a_hill_is_found(peak: tuple[int, int], eight: bool) -> None:
    """From a peak that falls away on all sides every pixel is reached."""
    grey = np.zeros((12, 14), np.uint8)
    y, x = np.mgrid[1:11, 1:13]
    grey[1:-1, 1:-1] = 200 - 9 * np.hypot(y - peak[0], x - peak[1])
    start = np.zeros_like(grey)
    start[peak] = 1
    assert spread(grey, start, eight)[1:-1, 1:-1].all()


@pytest.mark.parametrize("flip", [(), (0,), (1,), (0, 1)])
@pytest.mark.parametrize("rows_first", [True, False])
def test_a_path_with_turns_is_found(flip: tuple[int, ...], rows_first: bool) -> None:
    """Along columns and rows, either way: none of the three sweeps can be left out."""
    grey = np.zeros((9, 9), np.uint8)
    grey[1, 1:8] = grey[1:8, 7] = 5
    if rows_first:
        grey[1:8, 1] = grey[7, 1:8] = 5
        grey[1, 2:7] = 0
    start = np.zeros_like(grey)
    start[1, 1] = 1
    grey, start = np.flip(grey, flip).copy(), np.flip(start, flip).copy()
    assert (spread(grey, start, False)[grey > 0] == 1).all()


@pytest.mark.parametrize("flip", [(), (0,), (1,), (0, 1)])
def test_corners_touch_only_where_they_shall(flip: tuple[int, ...]) -> None:
    """A diagonal is climbed with eight neighbours and not with four."""
    grey = np.flip(np.pad(np.diag(np.full(5, 7, np.uint8)), 1), flip).copy()
    start = np.zeros_like(grey)
    start.flat[np.flatnonzero(grey)[0]] = 1
    assert spread(grey, start, True)[grey > 0].sum() == 5
    assert spread(grey, start, False)[grey > 0].sum() == 1
