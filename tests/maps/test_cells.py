"""Basins and links tell the components above every level."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from wsol.maps._basins import label_basins
from wsol.maps._cells import find_links, find_root

FindParts = Callable[[NDArray[np.bool_], bool], list[list[tuple[int, int]]]]
Maps = Sequence[tuple[NDArray, ...]]


def join(number: int, pairs: list[list[int]]) -> list[set[int]]:
    """Return for each basin the set of basins that it hangs together with."""
    groups = [{basin} for basin in range(number)]
    for a, b in pairs:
        if groups[a] is not groups[b]:
            groups[a] |= groups[b]
            for basin in groups[b]:
                groups[basin] = groups[a]
    return groups


def check(maps: Maps, find_parts: FindParts, levels_each: int) -> int:
    """Compare the components at some levels of each map; return the largest number of links."""
    most = 0
    for grey, fine, start, steps in maps:
        basins = label_basins(grey, fine, start, steps)
        links = find_links(grey, basins)
        most = max(most, len(links.level))
        assert links.pair.shape == (len(links.level), 2)
        assert (links.level > 0).all()
        assert (links.pair[:, 0] != links.pair[:, 1]).all()
        levels = np.unique(grey[grey > 0])
        for level in levels[:: 1 + len(levels) // levels_each].tolist():
            groups = join(basins.number, links.pair[links.level >= level].tolist())
            parts = find_parts(grey >= level, basins.eight)
            held = [{int(basins.labels[pixel]) for pixel in members} for members in parts]
            # No part is two groups, and no group is two parts.
            for labels in held:
                assert len({id(groups[label]) for label in labels}) == 1
            assert len({id(groups[min(labels)]) for labels in held}) == len(held)
    return most


def test_components_are_basins_joined_by_links(small_maps: Maps, find_parts: FindParts) -> None:
    """At every level, with eight neighbours and with four."""
    check(small_maps, find_parts, 256)


def test_the_buffer_of_links_grows(larger_maps: Maps, find_parts: FindParts) -> None:
    """The list of links grows and keeps what it holds."""
    assert check(larger_maps, find_parts, 6) > 2 * 256


def test_the_root_is_found_from_anywhere() -> None:
    """However long the path, and the paths that it shortens lead to the same root."""
    parent = np.append(0, np.arange(20)).astype(np.int32)
    for node in (20, 13, 20, 7, 0):
        assert find_root(parent, node) == 0
    assert parent[20] < 19
    assert (parent <= np.arange(21)).all()
