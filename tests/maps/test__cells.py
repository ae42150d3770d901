"""What the cells of a component hold together is its box, its first pixel and its area."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from wsol.maps._basins import label_basins
from wsol.maps._cells import LEVELS, gather_cells
from wsol.maps._opencv import contours_at

FindParts = Callable[[NDArray[np.bool_], bool], list[list[tuple[int, int]]]]
Maps = Sequence[tuple[NDArray, ...]]


def half_squares(inside: NDArray[np.bool_]) -> int:
    """Return twice the area of a component: squares of four pixel centres, or half of one."""
    count = sum(
        inside[y : y + len(inside) - 1, x : x + inside.shape[1] - 1].astype(int)
        for y in (0, 1)
        for x in (0, 1)
    )
    return int(2 * (count == 4).sum() + (count == 3).sum())


def check(maps: Maps, find_parts: FindParts, levels_each: int) -> set[bool]:
    """Compare all components of some levels of each map; return the kinds of cells met."""
    kinds = set()
    for grey, fine, start, steps in maps:
        basins = label_basins(grey, fine, start, steps)
        cells = gather_cells(grey, basins)
        kinds.add(len(cells.level) == basins.number * LEVELS)
        levels = np.unique(grey[grey > 0])
        for level in levels[:: 1 + len(levels) // levels_each]:
            for members in find_parts(grey >= level, basins.eight):
                inside = np.zeros(grey.shape, bool)
                inside[tuple(np.array(members).T)] = True
                labels = np.unique(basins.labels[inside])
                if not basins.eight and 0 in labels:
                    # What lies outside is no hole.
                    continue
                mine = np.isin(cells.basin, labels) & (cells.level >= level)
                box = cells.box[mine]
                y, x = np.nonzero(inside)
                found = [*box[:, :2].min(0), *box[:, 2:].max(0)]
                assert found == [x.min(), y.min(), x.max(), y.max()]
                assert cells.first[mine].min() == np.flatnonzero(inside)[0]
                if basins.eight:
                    area = cells.area[mine].sum()
                    assert area == half_squares(inside)
                    if len(find_parts(~inside, False)) == 1:
                        assert [area / 2] == contours_at(inside.astype(np.uint8), 0).areas.tolist()
    return kinds


def test_cells_of_pixels(small_maps: Maps, find_parts: FindParts) -> None:
    """On small maps each pixel outside the largest basin is a cell."""
    assert check(small_maps, find_parts, 256) == {False}


def test_cells_of_basins_by_level(larger_maps: Maps, find_parts: FindParts) -> None:
    """On larger maps of few basins there is a table of cells, of many basins there is none."""
    assert check(larger_maps, find_parts, 5) == {False, True}


def test_areas_are_none_of_the_margin() -> None:
    """A map that is bright up to its border counts the squares between its own pixels alone."""
    grey = np.pad(np.full((4, 6), 9, np.uint8), 1)
    start = np.zeros_like(grey)
    start[1, 1] = 1
    steps = np.array([-1, 1, -8, 8, -9, -7, 7, 9])
    cells = gather_cells(grey, label_basins(grey, grey.astype(np.uint16), start, steps))
    assert cells.area[1:].sum() == 2 * 3 * 5
