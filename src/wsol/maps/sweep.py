"""All thresholds of a grey image in one sweep from bright to dark.

The sweep adds pixels level by level and joins the components that meet. A component's box, and so
its IoU with the true boxes, holds for the levels from one change to the next; the best IoU of each
level is the greatest of those that hold there.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from wsol.maps.basins import find, label_basins

LEVELS = 256


@njit(cache=True)
def sort_by_level(levels: NDArray[np.uint8]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return indices from the highest level to the lowest, and where each level starts.

    Level ``v`` stands at ``order[start[255 - v] : start[256 - v]]``.

    >>> order, start = sort_by_level(np.array([3, 255, 3], np.uint8))
    >>> order.tolist(), start[[0, 1, 252, 253]].tolist()
    ([1, 0, 2], [0, 1, 1, 3])
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


@njit(cache=True)
def find_links(
    image: NDArray[np.uint8], labels: NDArray[np.int32], eight: bool, outside: int
) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """Return pairs of basins that touch, ``(M, 2)``, and the level at which they do, ``(M,)``.

    Two basins touch from the darker of two neighbouring pixels on. With ``outside`` >= 0 that is
    one basin more, which every pixel of the frame touches.
    """
    height, width = image.shape
    grey = image.ravel()
    pairs = np.empty((1024, 2), np.int32)
    levels = np.empty(1024, np.uint8)
    count = 0
    for y in range(height):
        for x in range(width):
            if count + 5 > len(levels):
                more_pairs, more_levels = np.empty_like(pairs), np.empty_like(levels)
                pairs = np.concatenate((pairs, more_pairs))
                levels = np.concatenate((levels, more_levels))
            here = y * width + x
            for k in range(4 if eight else 2):
                if (k == 0 or k == 2) and x == 0:
                    continue
                if (k > 0 and y == 0) or (k == 3 and x == width - 1):
                    continue
                there = here - 1 if k == 0 else here - width + (0 if k == 1 else 2 * k - 5)
                if labels[here] != labels[there]:
                    pairs[count, 0], pairs[count, 1] = labels[here], labels[there]
                    levels[count] = min(grey[here], grey[there])
                    count += 1
            if outside >= 0 and (x == 0 or y == 0 or x == width - 1 or y == height - 1):
                pairs[count, 0], pairs[count, 1] = labels[here], outside
                levels[count] = grey[here]
                count += 1
    return pairs[:count], levels[:count]


@njit(cache=True)
def box_iou_at(
    box: NDArray[np.int32], grow: int, height: int, width: int, truth: NDArray[np.int64]
) -> float:
    """Return the best IoU of one component's box with the true boxes, as published.

    Args:
        box: int ``(4,)``, x0 y0 x1 y1 inclusive, of the component's pixels.
        grow: 1 for a hole, whose outline runs on the pixels around it; else 0.
        height: of the map.
        width: of the map.
        truth: int ``(N, 4)``, inclusive.

    >>> box = np.array([2, 2, 4, 4], np.int32)
    >>> box_iou_at(box, 0, 8, 8, np.array([[2, 2, 5, 5]]))
    1.0
    """
    x0, y0 = box[0] - grow, box[1] - grow
    # The published box ends one past the last pixel, but inside the map.
    x1, y1 = min(box[2] + grow + 1, width - 1), min(box[3] + grow + 1, height - 1)
    best = 0.0
    for k in range(len(truth)):
        wide = min(x1, truth[k, 2]) - max(x0, truth[k, 0]) + 1
        high = min(y1, truth[k, 3]) - max(y0, truth[k, 1]) + 1
        if wide > 0 and high > 0:
            shared = wide * high
            own = (x1 - x0 + 1) * (y1 - y0 + 1)
            other = (truth[k, 2] - truth[k, 0] + 1) * (truth[k, 3] - truth[k, 1] + 1)
            best = max(best, shared / (own + other - shared))
    return best


@njit(cache=True, inline="always")
def _include(box: NDArray[np.int32], x0: int, y0: int, x1: int, y1: int) -> bool:
    """Widen a box to include another; tell whether it grew."""
    grew: bool = x0 < box[0] or y0 < box[1] or x1 > box[2] or y1 > box[3]
    box[0], box[1] = min(box[0], x0), min(box[1], y0)
    box[2], box[3] = max(box[2], x1), max(box[3], y1)
    return grew


@njit(cache=True)
def sweep(
    image: NDArray[np.uint8], truth: NDArray[np.int64], holes: bool, areas: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.uint8]]:
    """Follow the components of all levels of an image.

    Args:
        image: uint8 ``(H, W)``. For holes, the inverted map.
        truth: int ``(N, 4)``, true boxes x0 y0 x1 y1 inclusive.
        holes: components are 4-connected, those that reach the frame do not count, and boxes are
            grown by one; otherwise components are 8-connected.
        areas: also tell the component with the largest outline.

    Returns:
        all: float64 ``(256,)``; at ``L`` the best IoU of the components above level ``L``.
        largest: the same of the component whose outline has the largest area, the last of equals
            by its first pixel, which is the first that OpenCV lists; zeros without ``areas``.
        filled: uint8 ``(H, W)``: for holes, the image lowered where a pixel's component reaches the
            frame only at a lower level, so that no hole is left; otherwise the image.

    The area of a component's outline, a polygon through pixel centres, is one for each square of
    four pixel centres that are all in it, and a half for each with three, provided that it has no
    holes.
    """
    height, width = image.shape
    size = height * width
    grey = image.ravel()
    labels, count = label_basins(image, not holes)
    outside = count if holes else -1
    order, start = sort_by_level(grey)
    pairs, pair_levels = find_links(image, labels, not holes, outside)
    pair_order, pair_start = sort_by_level(pair_levels)

    nodes = count + 1
    parent = np.arange(nodes).astype(np.int32)
    box = np.empty((nodes, 4), np.int32)
    box[:, :2], box[:, 2:] = size, -1
    iou = np.zeros(nodes)
    since = np.full(nodes, -1, np.int32)
    area = np.zeros(nodes, np.int32)
    first = np.full(nodes, size, np.int32)
    changed_at = np.full(nodes, -1, np.int32)
    changed = np.empty(nodes, np.int32)
    member = np.arange(nodes).astype(np.int32)
    reaches_frame = np.zeros(nodes, np.uint8)
    added = np.zeros(size if areas else 0, np.uint8)
    best, largest = np.zeros(LEVELS), np.zeros(LEVELS)
    top, top_first = -1, size

    for k in range(LEVELS):
        level = LEVELS - 1 - k
        num_changed = 0
        for i in range(start[k], start[k + 1]):
            here = order[i]
            node = find(parent, labels[here])
            if node == outside:
                continue
            y = here // width
            x = here - y * width
            grew = _include(box[node], x, y, x, y)
            if areas:
                first[node] = min(first[node], here)
                area[node] += _new_area(added, here, x, y, height, width)
                added[here] = 1
            if (grew or areas) and changed_at[node] != level:
                changed_at[node] = level
                changed[num_changed] = node
                num_changed += 1
        for i in range(pair_start[k], pair_start[k + 1]):
            pair = pair_order[i]
            a, b = find(parent, pairs[pair, 0]), find(parent, pairs[pair, 1])
            if a == b:
                continue
            if a == outside:
                a, b = b, a
            if since[a] >= 0:
                _hold(best, iou[a], level, since[a])
            parent[a] = b
            if b == outside:
                node = a
                while True:
                    reaches_frame[node] = level
                    node = member[node]
                    if node == a:
                        break
                continue
            member[a], member[b] = member[b], member[a]
            grew = _include(box[b], box[a, 0], box[a, 1], box[a, 2], box[a, 3])
            area[b] += area[a]
            first[b] = min(first[a], first[b])
            if (grew or areas) and changed_at[b] != level:
                changed_at[b] = level
                changed[num_changed] = b
                num_changed += 1
        if top >= 0:
            top = find(parent, top)
        for i in range(num_changed):
            node = changed[i]
            if parent[node] != node:
                continue
            now = box_iou_at(box[node], int(holes), height, width, truth)
            if since[node] < 0:
                since[node] = level - 1
            elif now != iou[node]:
                _hold(best, iou[node], level, since[node])
                since[node] = level - 1
            iou[node] = now
            if areas and (
                top < 0
                or area[node] > area[top]
                or (area[node] == area[top] and first[node] > first[top])
            ):
                top = node
        if areas and level > 0 and top >= 0:
            if first[top] < top_first:
                # It grew to an earlier first pixel, so an equal that did not may now be listed
                # before it.
                for node in range(count):
                    stands = parent[node] == node and since[node] >= 0
                    if stands and area[node] == area[top] and first[node] > first[top]:
                        top = node
            top_first = first[top]
            largest[level - 1] = iou[top]
    for node in range(count):
        if parent[node] == node and since[node] >= 0:
            _hold(best, iou[node], 0, since[node])

    filled = image.copy()
    if holes:
        flat = filled.ravel()
        for here in range(size):
            flat[here] = min(flat[here], reaches_frame[labels[here]])
    return best, largest, filled


@njit(cache=True)
def _hold(best: NDArray[np.float64], iou: float, low: int, high: int) -> None:
    """Let an IoU count from level ``low`` to ``high``."""
    for level in range(low, high + 1):
        best[level] = max(best[level], iou)


@njit(cache=True, inline="always")
def _new_area(added: NDArray[np.uint8], here: int, x: int, y: int, height: int, width: int) -> int:
    """Return the half squares that a pixel completes: the third and the fourth of a square do."""
    halves = 0
    for dy in (-1, 1):
        if not 0 <= y + dy < height:
            continue
        beside = here + dy * width
        for dx in (-1, 1):
            if 0 <= x + dx < width:
                others = added[here + dx] + added[beside] + added[beside + dx]
                halves += others >= 2
    return halves
