"""Slow, obvious references, and the maps that the fast code is held against."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from wsol.maps._basins import list_steps

Box = tuple[int, int, int, int]

CROSS = ((0, 1), (0, -1), (1, 0), (-1, 0))
AROUND = (*CROSS, (1, 1), (1, -1), (-1, 1), (-1, -1))
KINDS = (
    *("noise", "few levels", "rings", "thin", "smooth"),
    *("row", "column", "islands", "bumps", "plateaus", "cones"),
)


def components(mask: NDArray[np.bool_], eight: bool) -> list[list[tuple[int, int]]]:
    """Return the pixels (y, x) of each connected component, in raster order of their first."""
    left = set(zip(*(axis.tolist() for axis in np.nonzero(mask)), strict=True))
    found = []
    while left:
        todo, members = [left.pop()], []
        while todo:
            y, x = todo.pop()
            members.append((y, x))
            near = {(y + dy, x + dx) for dy, dx in (AROUND if eight else CROSS)} & left
            left -= near
            todo += near
        found.append(sorted(members))
    return sorted(found)


def outline_boxes(mask: NDArray[np.bool_]) -> list[Box]:
    """Return the boxes of the outlines of all objects, then of all holes.

    Objects hang together over corners, holes do not; a hole's outline lies on the object.
    """
    boxes = []
    for members in components(mask, True):
        y, x = np.array(members).T
        boxes.append((x.min(), y.min(), x.max() + 1, y.max() + 1))
    for members in components(np.pad(~mask, 1, constant_values=True), False):
        if (0, 0) not in members:
            y, x = np.array(members).T - 1
            boxes.append((x.min() - 1, y.min() - 1, x.max() + 2, y.max() + 2))
    return [tuple(map(int, box)) for box in boxes]


def draw_map(
    kind: str, random: np.random.Generator, most: int = 20, least: int = 1
) -> NDArray[np.float64]:
    """Return a map of a kind in [0, 1], of any height and width from the least to the most."""
    height, width = random.integers(least, most + 1, 2).tolist()
    height = 1 if kind == "row" else height
    width = 1 if kind == "column" else width
    noise = random.random((height, width))
    y, x = np.mgrid[:height, :width]
    centre = random.random(2) * (height, width)
    if kind == "few levels":
        return np.floor(noise * random.integers(2, 6)) / 6
    if kind == "rings":
        return np.cos(np.hypot(y - centre[0], x - centre[1]) * random.uniform(0.3, 3)) / 2 + 0.5
    if kind == "thin":
        return np.where((noise > 0.5) & (random.random((height, 1)) > 0.5), noise, 0.0)
    if kind == "smooth":
        waves = [
            np.cos(random.uniform(-0.7, 0.7) * y + random.uniform(-0.7, 0.7) * x + phase)
            for phase in random.uniform(0, 6, 4)
        ]
        return np.mean(waves, 0) / 2 + 0.5
    if kind == "islands":
        rings = np.cos(np.maximum(abs(y - height / 2), abs(x - width / 2)) * 1.5) / 2 + 0.5
        return np.where(noise > 0.9, noise, rings)
    if kind == "bumps":
        result = np.zeros((height, width))
        for top in random.random((6, 2)) * (height, width):
            far = np.hypot(y - top[0], x - top[1]) / random.uniform(1, 9)
            result = np.maximum(result, random.random() * np.exp(-(far**2)))
        return result
    if kind == "cones":
        tops = random.random((3, 2)) * (height, width)
        far = [np.hypot(y - top[0], x - top[1]) / random.uniform(4, 20) for top in tops]
        return np.max([*(random.random() - slope for slope in far), np.zeros_like(noise)], 0)
    if kind == "plateaus":
        small = random.random((1 + height // 3, 1 + width // 3))
        return np.floor(255 * small.repeat(3, 0).repeat(3, 1)[:height, :width]) / 255
    return noise


class Framed(NamedTuple):
    """A map with its margin, as it is when its basins are looked for."""

    grey: NDArray[np.uint8]
    fine: NDArray[np.uint16]
    start: NDArray[np.uint8]
    steps: NDArray[np.int64]


def frame(score_map: NDArray[np.floating], holes: bool, know_fine: bool = True) -> Framed:
    """Return a map with its margin, or its inverse, in which holes are the bright parts.

    Without the fine levels, neighbours of the same grey level make plateaus.
    """
    fine = np.pad((score_map * 65280).astype(np.uint16), 1)
    start = np.zeros(fine.shape, np.uint8)
    start.flat[fine.argmax()] = 1
    if holes:
        fine = ~fine
        start = np.pad(np.zeros(score_map.shape, np.uint8), 1, constant_values=1)
    grey = (fine >> 8).astype(np.uint8)
    fine = fine if know_fine else grey.astype(np.uint16)
    return Framed(grey, fine, start, list_steps(fine.shape[1])[: 4 if holes else 8])


def framed_maps(kinds: Sequence[str], number: int, most: int, least: int = 1) -> Iterator[Framed]:
    """Yield maps of the kinds with their margins: objects and holes, fine and not."""
    for index in range(number):
        random = np.random.default_rng(index)
        score_map = draw_map(kinds[index % len(kinds)], random, most, least)
        for holes in (False, True):
            yield frame(score_map, holes, bool(random.integers(2)))


@pytest.fixture(scope="session")
def find_parts() -> Callable[[NDArray[np.bool_], bool], list[list[tuple[int, int]]]]:
    """Return the flood fill."""
    return components


@pytest.fixture(scope="session")
def flood_fill_boxes() -> Callable[[NDArray[np.bool_]], list[Box]]:
    """Return the reference of all boxes of a mask."""
    return outline_boxes


@pytest.fixture(scope="session")
def random_map() -> Callable[..., NDArray[np.float64]]:
    """Return the maker of maps."""
    return draw_map


@pytest.fixture(scope="session")
def small_maps() -> list[Framed]:
    """Return small maps of all kinds with their margins."""
    return list(framed_maps(KINDS, 66, most=9))


@pytest.fixture(scope="session")
def larger_maps() -> list[Framed]:
    """Return maps of which some have few basins for their size, and others very many."""
    few = framed_maps(["cones", "bumps"], 8, most=60, least=50)
    return [*framed_maps(KINDS, 11, most=40), *few]
