"""A sweep tells what a flood fill of every level by itself tells."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from wsol.maps._basins import label_basins
from wsol.maps._cells import LEVELS, find_links, gather_cells
from wsol.maps._opencv import contours_at
from wsol.maps._tree import best_overlap, sort_by_level, sweep

FindParts = Callable[[NDArray[np.bool_], bool], list[list[tuple[int, int]]]]
Maps = Sequence[tuple[NDArray, ...]]


def painted_overlap(box: list[int], ground_truth: NDArray[np.int64], side: int) -> float:
    """Return the best IoU by painting the boxes, both corners included."""
    canvas = np.zeros((1 + len(ground_truth), side, side), bool)
    for layer, (x0, y0, x1, y1) in zip(canvas, [box, *ground_truth.tolist()], strict=True):
        layer[y0 : y1 + 1, x0 : x1 + 1] = True
    return max(float((canvas[0] & layer).sum() / (canvas[0] | layer).sum()) for layer in canvas[1:])


def random_boxes(random: np.random.Generator, shape: tuple[int, int]) -> NDArray[np.int64]:
    """Return one to three true boxes in a map of a height and width."""
    size = shape[::-1]
    return np.sort(random.integers(0, size, (random.integers(1, 4), 2, 2)), 1).reshape(-1, 4)


def clip(members: list[tuple[int, int]], grow: int, shape: tuple[int, int]) -> list[int]:
    """Return the box of framed pixels, as published."""
    y, x = np.array(members).T - 1
    height, width = shape
    far = [min(x.max() + 1 + grow, width - 1), min(y.max() + 1 + grow, height - 1)]
    return [int(x.min()) - grow, int(y.min()) - grow, *map(int, far)]


def test_the_best_of_all_components(small_maps: Maps, find_parts: FindParts) -> None:
    """At every level, of objects and of holes, which are those that lie apart from the outside."""
    random = np.random.default_rng(0)
    for grey, fine, start, steps in small_maps:
        basins = label_basins(grey, fine, start, steps)
        shape = (grey.shape[0] - 2, grey.shape[1] - 2)
        ground_truth = random_boxes(random, shape)
        cells, links = gather_cells(grey, basins), find_links(grey, basins)
        found = sweep(cells, links, basins, ground_truth, np.zeros(LEVELS, np.bool_))
        joined = np.zeros(basins.number, int)
        # What is above a level changes only below a level that pixels have.
        levels = np.unique(np.append(grey, [0, 255])).tolist()
        for low, high in pairwise(levels):
            parts = find_parts(grey > low, basins.eight)
            if not basins.eight:
                for members in parts:
                    if (0, 0) in members:
                        labels = {int(basins.labels[pixel]) for pixel in members} - {0}
                        joined[list(labels)] = np.maximum(joined[list(labels)], high)
                parts = [members for members in parts if (0, 0) not in members]
            grow = int(not basins.eight)
            expected = [
                painted_overlap(clip(members, grow, shape), ground_truth, 12) for members in parts
            ]
            assert (found.all[low:high] == max(expected, default=0)).all()
        if not basins.eight:
            assert np.array_equal(found.joined_outside[1:], joined[1:])


def test_the_largest_is_told_where_it_is_decided(small_maps: Maps) -> None:
    """If holes are possible anywhere, what is decided is what OpenCV's areas say."""
    random = np.random.default_rng(1)
    decided = []
    for grey, fine, start, steps in small_maps:
        if len(steps) == 4:
            continue
        basins = label_basins(grey, fine, start, steps)
        inner = grey[1:-1, 1:-1]
        ground_truth = random_boxes(random, inner.shape)
        cells, links = gather_cells(grey, basins), find_links(grey, basins)
        found = sweep(cells, links, basins, ground_truth, np.ones(LEVELS, np.bool_))
        decided.append(found.decided)
        if found.decided:
            levels = np.unique(np.append(grey, [0, 255]))
            for low, high in pairwise(levels):
                contours = contours_at(inner, int(low))
                if len(contours.areas) == 0:
                    continue
                x0, y0, x1, y1 = contours.boxes[contours.areas.argmax()].tolist()
                box = [x0, y0, min(x1, inner.shape[1] - 1), min(y1, inner.shape[0] - 1)]
                assert (found.largest[low:high] == painted_overlap(box, ground_truth, 12)).all()
    assert set(decided) == {True, False}


def test_sorting_is_stable_and_from_high_to_low() -> None:
    """As numpy sorts, every level at its place."""
    levels = np.random.default_rng(0).integers(0, 256, 999, np.uint8)
    order, start = sort_by_level(levels)
    assert np.array_equal(order, np.argsort(255 - levels, kind="stable"))
    assert (start[0], start[-1]) == (0, 999)
    for level in range(256):
        assert (levels[order[start[255 - level] : start[256 - level]]] == level).all()


def test_the_best_overlap_of_boxes() -> None:
    """As painted, boxes that touch at a pixel or not at all among them."""
    random = np.random.default_rng(0)
    for _ in range(200):
        box = random_boxes(random, (10, 12))[0]
        ground_truth = random_boxes(random, (10, 12))
        assert best_overlap(*box.tolist(), ground_truth) == painted_overlap(
            box.tolist(), ground_truth, 12
        )
    assert best_overlap(0, 0, 3, 3, np.array([[3, 3, 5, 5], [4, 0, 9, 3]])) == 1 / 24
    assert best_overlap(0, 0, 3, 3, np.array([[4, 0, 9, 3]])) == 0
