"""Basins share out the pixels, and the part of one above any level hangs together."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from wsol.maps._basins import find_uphill, label_basins, spread

FindParts = Callable[[NDArray[np.bool_], bool], list[list[tuple[int, int]]]]
Maps = Sequence[tuple[NDArray, ...]]

STEPS = ((0, -1), (0, 1), (-1, 0), (1, 0), (-1, -1), (-1, 1), (1, -1), (1, 1))


def test_basins_share_out_the_pixels(small_maps: Maps) -> None:
    """Every pixel with a grey level is in one basin, every basin but the first has a pixel."""
    for grey, fine, start, steps in small_maps:
        basins = label_basins(grey, fine, start, steps)
        labels = basins.labels
        assert np.unique(np.append(0, labels[grey > 0])).tolist() == list(range(basins.number))
        assert not labels[grey == 0].any()
        assert not labels[basins.reached == 1].any()
        assert not labels[[0, -1]].any()
        assert not labels[:, [0, -1]].any()
        assert np.array_equal(basins.reached, spread(grey, start, len(steps) == 8))
        assert np.array_equal(basins.rest, np.flatnonzero((grey > 0) & (basins.reached == 0)))
        assert basins.eight == (len(steps) == 8)


def test_a_basin_hangs_together_above_every_level(small_maps: Maps, find_parts: FindParts) -> None:
    """From each pixel one can climb to the peak inside the basin without going down."""
    for grey, fine, start, steps in small_maps:
        basins = label_basins(grey, fine, start, steps)
        for basin in range(basins.number):
            inside = basins.labels == basin
            for level in np.unique(grey[inside & (grey > 0)]):
                assert len(find_parts(inside & (grey >= level), basins.eight)) == 1


def test_there_are_as_many_basins_as_peaks(small_maps: Maps, find_parts: FindParts) -> None:
    """A peak is a plateau without a brighter neighbour; those reached from the start are one."""
    for grey, fine, start, steps in small_maps:
        basins = label_basins(grey, fine, start, steps)
        peaks = 1
        for level in np.unique(fine[grey > 0]):
            for members in find_parts(fine == level, basins.eight):
                if any(basins.reached[pixel] for pixel in members):
                    continue
                # The margin is reached, or dark, so none of these pixels lies in it.
                near = [(y + dy, x + dx) for y, x in members for dy, dx in STEPS[: len(steps)]]
                peaks += all(fine[there] <= level for there in near)
        assert basins.number == peaks


@pytest.mark.parametrize("eight", [True, False])
def test_uphill_is_the_first_of_the_brightest_neighbours(eight: bool) -> None:
    """The step to a neighbour that is brighter than the pixel and than all before it."""
    random = np.random.default_rng(0)
    for most in (3, 65536):
        fine = random.integers(0, most, (12, 9), np.uint16)
        uphill = find_uphill(fine, eight)
        for y in range(1, 11):
            for x in range(1, 8):
                near = [int(fine[y + dy, x + dx]) for dy, dx in STEPS[: 8 if eight else 4]]
                brighter = max(near) > fine[y, x]
                assert uphill[y, x] == (near.index(max(near)) + 1 if brighter else 0)


def test_a_plateau_climbs_where_any_of_its_pixels_does() -> None:
    """All of a long plateau belongs to the peak at its far end, not to a separate one."""
    grey = np.zeros((5, 9), np.uint8)
    grey[1:4, 1:7] = 4
    grey[2, 7] = 9
    start = np.zeros_like(grey)
    basins = label_basins(grey, grey.astype(np.uint16), start, np.array([-1, 1, -9, 9]))
    assert basins.number == 2
    assert (basins.labels == (grey > 0)).all()


def test_a_plateau_belongs_to_the_start_however_it_winds() -> None:
    """The end of a spiral is not reached by the sweep, but is not a separate peak."""
    grey = np.zeros((11, 11), np.uint8)
    grey[1, 1:10] = grey[1:10, 9] = grey[9, 1:10] = grey[3:10, 1] = 5
    grey[3, 1:8] = grey[3:8, 7] = grey[7, 3:8] = grey[5:8, 3] = grey[5, 3:6] = 5
    start = np.zeros_like(grey)
    start[1, 1] = 1
    basins = label_basins(grey, grey.astype(np.uint16), start, np.array([-1, 1, -11, 11]))
    assert not basins.reached[5, 5]
    assert basins.number == 1
