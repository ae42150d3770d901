"""All thresholds of a grey image in one sweep from bright to dark.

The sweep adds cells level by level and joins the components that meet. A component's box, and thus
its IoU with the ground-truth boxes, is valid from one change to the next; the best IoU of each
level is the maximum over the components valid at it.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from wsol.maps._basins import Basins, label_basins, list_steps, margin_of
from wsol.maps._cells import LEVELS, Cells, Links, find_links, find_root, gather_cells
from wsol.maps._numba import compiled

FAR = np.iinfo(np.int32).max


class Forest(NamedTuple):
    """Components of one level, each represented by one of its basins, ``(B,)`` each.

    Attributes:
        parent: int32, towards the basin that represents the component.
        box: int32 ``(B, 4)``, x0 y0 x1 y1 inclusive, with the margin.
        first: int32, first pixel in raster order.
        area: int64, half squares, as in the cells.
        iou: float64, IoU of the component's box.
        since: int32, first level of the curve at which that IoU is valid; -1 before the first
            pixel.
        changed_at: int32, level of the last change.
    """

    parent: NDArray[np.int32]
    box: NDArray[np.int32]
    first: NDArray[np.int32]
    area: NDArray[np.int64]
    iou: NDArray[np.float64]
    since: NDArray[np.int32]
    changed_at: NDArray[np.int32]


class Sweep(NamedTuple):
    """Result of a sweep.

    Attributes:
        all: float64 ``(256,)``; at ``L`` the best IoU of the components above level ``L``.
        largest: float64 ``(256,)``, IoU of the component with the largest contour area.
        decided: False if the largest component cannot be determined without filling holes.
        joined_outside: uint8 ``(B,)``, for holes: the level at which each basin joins basin 0.
    """

    all: NDArray[np.float64]
    largest: NDArray[np.float64]
    decided: bool
    joined_outside: NDArray[np.uint8]


@compiled()
def sweep(
    cells: Cells,
    links: Links,
    basins: Basins,
    ground_truth: NDArray[np.int64],
    hole_at: NDArray[np.bool_],
) -> Sweep:
    """Follow the components of all levels of an image.

    For holes, which are 4-connected, basin 0 is the outside: a component that joins it is no longer
    a hole. Boxes of holes grow by one pixel, as the contour of a hole follows the surrounding
    pixels.

    ``hole_at`` ``(256,)`` tells whether the components above a level may have holes. Then the
    contour area is larger than that of the cells, up to the area of the box.

    Of components of equal area the largest is the one whose first pixel is the last in raster
    order, which is the first in OpenCV's order.
    """
    holes, count = not basins.eight, basins.number
    shape = (basins.labels.shape[0] - 2, basins.labels.shape[1] - 2)
    forest = _plant(count)
    order, start = sort_by_level(cells.level)
    link_order, link_start = sort_by_level(links.level)
    best, largest = np.zeros(LEVELS), np.zeros(LEVELS)
    joined_outside = np.zeros(count, np.uint8)
    member = np.arange(count).astype(np.int32)
    changed, standing = np.empty(count, np.int32), np.empty(count, np.int32)
    num_standing, decided = 0, True

    for k in range(LEVELS - 1):
        level = LEVELS - 1 - k
        num_changed = 0
        for i in range(start[k], start[k + 1]):
            cell = order[i]
            node = find_root(forest.parent, cells.basin[cell])
            if holes and node == 0:
                continue
            if _add(forest, node, cells.box[cell], cells.first[cell], cells.area[cell]):
                num_changed = _note(forest, node, level, changed, num_changed)
        for i in range(link_start[k], link_start[k + 1]):
            link = link_order[i]
            a = find_root(forest.parent, links.pair[link, 0])
            b = find_root(forest.parent, links.pair[link, 1])
            if a == b:
                continue
            if holes and a == 0:
                a, b = b, a
            if forest.since[a] >= 0:
                _lock(best, forest.iou[a], level, forest.since[a])
            forest.parent[a] = b
            if holes and b == 0:
                _leave(a, member, joined_outside, level)
                continue
            member[a], member[b] = member[b], member[a]
            if _add(forest, b, forest.box[a], forest.first[a], forest.area[a]):
                num_changed = _note(forest, b, level, changed, num_changed)
        for i in range(num_changed):
            node = changed[i]
            if forest.parent[node] != node:
                continue
            if forest.since[node] < 0:
                standing[num_standing] = node
                num_standing += 1
            iou = _box_iou(forest.box[node], int(holes), shape, ground_truth)
            if forest.since[node] < 0 or iou != forest.iou[node]:
                if forest.since[node] >= 0:
                    _lock(best, forest.iou[node], level, forest.since[node])
                forest.since[node] = level - 1
                forest.iou[node] = iou
        if decided and not holes:
            num_standing = _drop_joined(forest, standing, num_standing)
            if num_standing > 0:
                top = _find_largest(forest, standing[:num_standing])
                largest[level - 1] = forest.iou[top]
                if hole_at[level - 1]:
                    decided = _stays_largest(forest, standing[:num_standing], top)
    for node in range(count):
        if forest.parent[node] == node and forest.since[node] >= 0:
            _lock(best, forest.iou[node], 0, forest.since[node])
    return Sweep(best, largest, decided, joined_outside)


@compiled()
def sort_by_level(levels: NDArray[np.uint8]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return indices from the highest level to the lowest, and the start of each level.

    Level ``v`` is ``order[start[255 - v] : start[256 - v]]``.
    """
    start = np.zeros(LEVELS + 1, np.int32)
    for level in levels:
        start[LEVELS - level] += 1
    for k in range(LEVELS):
        start[k + 1] += start[k]
    place = start.copy()
    order = np.empty(levels.size, np.int32)
    for index in range(levels.size):
        k = LEVELS - 1 - levels[index]
        order[place[k]] = index
        place[k] += 1
    return order, start


@compiled()
def _plant(count: int) -> Forest:
    """Return a forest of single basins without pixels."""
    forest = Forest(
        np.arange(count).astype(np.int32),
        np.empty((count, 4), np.int32),
        np.full(count, FAR, np.int32),
        np.zeros(count, np.int64),
        np.zeros(count),
        np.full(count, -1, np.int32),
        np.full(count, -1, np.int32),
    )
    forest.box[:, :2], forest.box[:, 2:] = FAR, -1
    return forest


@compiled()
def _add(forest: Forest, node: int, box: NDArray[np.int32], first: int, area: int) -> bool:
    """Add pixels to a component; return whether its box grew."""
    mine = forest.box[node]
    grew: bool = box[0] < mine[0] or box[1] < mine[1] or box[2] > mine[2] or box[3] > mine[3]
    mine[0], mine[1] = min(mine[0], box[0]), min(mine[1], box[1])
    mine[2], mine[3] = max(mine[2], box[2]), max(mine[3], box[3])
    forest.first[node] = min(forest.first[node], first)
    forest.area[node] += area
    return grew


@compiled()
def _note(
    forest: Forest, node: int, level: int, changed: NDArray[np.int32], num_changed: int
) -> int:
    """Add a component to the list of changes, once per level, and return the list's length."""
    if forest.changed_at[node] == level:
        return num_changed
    forest.changed_at[node] = level
    changed[num_changed] = node
    return num_changed + 1


@compiled()
def _lock(best: NDArray[np.float64], iou: float, low: int, high: int) -> None:
    """Apply an IoU to levels from ``low`` to ``high``."""
    for level in range(low, high + 1):
        best[level] = max(best[level], iou)


@compiled()
def _leave(
    start: int, member: NDArray[np.int32], joined_outside: NDArray[np.uint8], level: int
) -> None:
    """Record for all basins of a component that it is no longer a hole."""
    node = start
    while True:
        joined_outside[node] = level
        node = member[node]
        if node == start:
            return


@compiled()
def _drop_joined(forest: Forest, standing: NDArray[np.int32], num_standing: int) -> int:
    """Keep only basins that still represent a component in the list."""
    kept = 0
    for i in range(num_standing):
        standing[kept] = standing[i]
        kept += forest.parent[standing[i]] == standing[i]
    return kept


@compiled()
def _find_largest(forest: Forest, standing: NDArray[np.int32]) -> int:
    top = 0
    for i in range(1, len(standing)):
        node, best = standing[i], standing[top]
        area, most = forest.area[node], forest.area[best]
        if area > most or (area == most and forest.first[node] > forest.first[best]):
            top = i
    return int(standing[top])


@compiled()
def _stays_largest(forest: Forest, standing: NDArray[np.int32], top: int) -> bool:
    """Return whether no other component can have a larger contour, whatever holes it has."""
    for node in standing:
        box = forest.box[node]
        at_most = 2 * (box[2] - box[0]) * (box[3] - box[1])
        if node != top and at_most >= forest.area[top]:
            return False
    return True


@compiled()
def _box_iou(
    box: NDArray[np.int32], grow: int, shape: tuple[int, int], ground_truth: NDArray[np.int64]
) -> float:
    """Return the best IoU of one component's box with the ground-truth boxes, as published."""
    height, width = shape
    # Subtract the margin. The published box ends one past the last pixel, inside the map.
    x0, y0 = box[0] - 1 - grow, box[1] - 1 - grow
    x1, y1 = min(box[2] + grow, width - 1), min(box[3] + grow, height - 1)
    return best_overlap(x0, y0, x1, y1, ground_truth)


@compiled()
def best_overlap(x0: int, y0: int, x1: int, y1: int, ground_truth: NDArray[np.int64]) -> float:
    """Return the best IoU of a box with ground-truth boxes, counting pixels inclusively."""
    best = 0.0
    for k in range(len(ground_truth)):
        wide = min(x1, ground_truth[k, 2]) - max(x0, ground_truth[k, 0]) + 1
        high = min(y1, ground_truth[k, 3]) - max(y0, ground_truth[k, 1]) + 1
        if wide > 0 and high > 0:
            shared = wide * high
            own = (x1 - x0 + 1) * (y1 - y0 + 1)
            other = (ground_truth[k, 2] - ground_truth[k, 0] + 1) * (
                ground_truth[k, 3] - ground_truth[k, 1] + 1
            )
            best = max(best, shared / (own + other - shared))
    return best


@compiled(nogil=True)
def tree_curves(
    fine: NDArray[np.uint16], peak: tuple[int, int], ground_truth: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the IoU ``(256,)`` of the largest and of the best contour above each grey level.

    Args:
        fine: uint16 ``(H, W)``, ``256 * grey`` plus the next eight bits, if known; these bits do
            not change the result, but speed up the computation.
        peak: row and column of one of the brightest pixels.
        ground_truth: int ``(N, 4)``, ground-truth boxes x0 y0 x1 y1 inclusive in map pixels.
    """
    height, width = fine.shape
    framed = np.zeros((height + 2, width + 2), np.uint16)
    framed[1:-1, 1:-1] = fine
    steps, no_holes = list_steps(width + 2), np.zeros(LEVELS, np.bool_)
    summit = np.zeros(framed.shape, np.uint8)
    summit[peak[0] + 1, peak[1] + 1] = 1
    margin = margin_of(framed)
    basins, of_holes = _follow(~framed, margin, steps[:4], ground_truth, no_holes)
    filled, hole_at = _fill_holes(framed, basins, of_holes.joined_outside)
    _, of_objects = _follow(framed, summit, steps, ground_truth, hole_at)
    best, largest = of_objects.all, of_objects.largest
    if not of_objects.decided:
        _, of_filled = _follow(filled, summit, steps, ground_truth, no_holes)
        largest = of_filled.largest
    # Pixels not above level L are, inverted, above level 254 - L.
    for level in range(LEVELS - 1):
        best[level] = max(best[level], of_holes.all[LEVELS - 2 - level])
    # If nothing is above the level, the published evaluator has the one box 0 0 0 0.
    for level in range(fine[peak] >> 8, LEVELS):
        best[level] = largest[level] = best_overlap(0, 0, 0, 0, ground_truth)
    return largest, best


@compiled()
def _follow(
    fine: NDArray[np.uint16],
    start: NDArray[np.uint8],
    steps: NDArray[np.int64],
    ground_truth: NDArray[np.int64],
    hole_at: NDArray[np.bool_],
) -> tuple[Basins, Sweep]:
    """Follow the components of all levels of an image with its margin."""
    grey = (fine >> 8).astype(np.uint8)
    basins = label_basins(grey, fine, start, steps)
    cells = gather_cells(grey, basins)
    return basins, sweep(cells, find_links(grey, basins), basins, ground_truth, hole_at)


@compiled()
def _fill_holes(
    framed: NDArray[np.uint16], basins: Basins, joined_outside: NDArray[np.uint8]
) -> tuple[NDArray[np.uint16], NDArray[np.bool_]]:
    """Return a map with its holes filled at every level, and the levels that have a hole above."""
    filled = framed.copy()
    value, labels = filled.ravel(), basins.labels.ravel()
    begin_less_end = np.zeros(LEVELS + 1, np.int32)
    for pixel in basins.rest:
        label = labels[pixel]
        # A pixel is in a hole until its component joins the outside.
        low, high = value[pixel] >> 8, LEVELS - 1 - joined_outside[label]
        if label > 0 and low < high:
            value[pixel] = high << 8
            begin_less_end[low] += 1
            begin_less_end[high] -= 1
    return filled, begin_less_end.cumsum()[:-1] > 0
