"""Basins of a grey image: each pixel with the peak that it climbs to.

A pixel climbs to a brighter neighbour, and a plateau to a brighter neighbour of any of its pixels.
The path never leaves the set of pixels at least as bright as its start, so the part of a basin
above any level is connected, and the components above a level are unions of such parts. The tree of
components over all levels is then a tree of a few basins, not of all pixels.

Images have a margin of one pixel, so that every pixel has all neighbours.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from wsol.maps._numba import compiled


@compiled()
def spread(grey: NDArray[np.uint8], start: NDArray[np.uint8], eight: bool) -> NDArray[np.uint8]:
    """Return 1 where a sweep finds that a pixel can climb to the start, else 0.

    Rows are swept down and up, columns right and left, and rows once more. That finds most of the
    pixels that climb to the start, not all of them. ``eight``: diagonal neighbours touch.
    """
    reached = start.copy()
    _sweep_rows(grey, reached, eight)
    across = reached.T.copy()
    _sweep_rows(grey.T.copy(), across, eight)
    reached = across.T.copy()
    _sweep_rows(grey, reached, eight)
    return reached


@compiled()
def _sweep_rows(grey: NDArray[np.uint8], reached: NDArray[np.uint8], eight: bool) -> None:
    height, width = grey.shape
    row = np.zeros(width, np.uint8)
    for way in (1, -1):
        for i in range(1, height - 1):
            y = i if way == 1 else height - 1 - i
            last = y - way
            # Without branches, and with a separate output row, the compiler vectorizes this loop.
            for x in range(1, width - 1):
                here = grey[y, x]
                found = reached[y, x] | (reached[last, x] & np.uint8(grey[last, x] >= here))
                if eight:
                    found |= reached[last, x - 1] & np.uint8(grey[last, x - 1] >= here)
                    found |= reached[last, x + 1] & np.uint8(grey[last, x + 1] >= here)
                row[x] = found
            for x in range(1, width - 1):
                reached[y, x] = row[x]


UNSEEN, ON_PLATEAU = -1, -2
"""Negative labels are unknown; -2 - p refers to the label of pixel p."""


class Basins(NamedTuple):
    """Basins of an image.

    Attributes:
        labels: int32 ``(H, W)``, basin of each pixel, with the margin; 0 in the margin and where
            the grey level is 0.
        reached: uint8 ``(H, W)``, 1 where the sweep assigned a pixel to basin 0.
        rest: int32 ``(M,)``, indices of the other pixels with a grey level, increasing.
        number: number of basins.
        eight: whether diagonal neighbours touch.
    """

    labels: NDArray[np.int32]
    reached: NDArray[np.uint8]
    rest: NDArray[np.int32]
    number: int
    eight: bool


@compiled()
def list_steps(width: int) -> NDArray[np.int64]:
    """Return index differences to a pixel's neighbours, those that share a side first."""
    return np.array([-1, 1, -width, width, -width - 1, -width + 1, width - 1, width + 1])


@compiled()
def margin_of(framed: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Return 1 in the margin of an image, else 0."""
    margin = np.ones(framed.shape, np.uint8)
    margin[1:-1, 1:-1] = 0
    return margin


@compiled()
def label_basins(
    grey: NDArray[np.uint8],
    fine: NDArray[np.uint16],
    start: NDArray[np.uint8],
    steps: NDArray[np.int64],
) -> Basins:
    """Return the basins of an image.

    Args:
        grey: uint8 ``(H, W)`` with its margin, which is 0, or in the start.
        fine: uint16 ``(H, W)``, the same image as ``256 * grey`` plus the next eight bits, if
            known. With them few neighbours are equal, which speeds up the search.
        start: uint8 ``(H, W)``, 1 in the start pixels of basin 0.
        steps: int64, steps to touching neighbours: all eight, or the first four.
    """
    eight = len(steps) == 8
    uphill = find_uphill(fine, eight).ravel()
    reached = spread(grey, start, eight)
    rest = _list_rest(grey, reached)
    level = fine.ravel()
    labels = np.zeros(level.size, np.int32)
    path = np.empty(len(rest) + 1, np.int32)
    for pixel in rest:
        labels[pixel] = UNSEEN
    count = 1
    for pixel in rest:
        if labels[pixel] == UNSEEN and uphill[pixel] == 0:
            length, way_up = _follow_plateau(pixel, level, uphill, labels, steps, path)
            found = ON_PLATEAU - way_up if way_up >= 0 else count
            for i in range(length):
                labels[path[i]] = found
            count += way_up < 0
    for first in rest:
        pixel, length = first, 0
        while labels[pixel] < 0:
            path[length] = pixel
            length += 1
            step = uphill[pixel]
            pixel = ON_PLATEAU - labels[pixel] if step == 0 else pixel + steps[step - 1]
        found = labels[pixel]
        for i in range(length):
            labels[path[i]] = found
    return Basins(labels.reshape(grey.shape), reached, rest, count, eight)


@compiled()
def find_uphill(fine: NDArray[np.uint16], eight: bool) -> NDArray[np.uint8]:
    """Return for each pixel the number, from 1, of the step to its brightest neighbour, or 0."""
    height, width = fine.shape
    uphill = np.zeros((height, width), np.uint8)
    for y in range(1, height - 1):
        # Without branches, and with constant steps, the compiler vectorizes this loop.
        for x in range(1, width - 1):
            best, step = fine[y, x], np.uint8(0)
            best, step = _brighter(best, step, fine[y, x - 1], np.uint8(1))
            best, step = _brighter(best, step, fine[y, x + 1], np.uint8(2))
            best, step = _brighter(best, step, fine[y - 1, x], np.uint8(3))
            best, step = _brighter(best, step, fine[y + 1, x], np.uint8(4))
            if eight:
                best, step = _brighter(best, step, fine[y - 1, x - 1], np.uint8(5))
                best, step = _brighter(best, step, fine[y - 1, x + 1], np.uint8(6))
                best, step = _brighter(best, step, fine[y + 1, x - 1], np.uint8(7))
                best, step = _brighter(best, step, fine[y + 1, x + 1], np.uint8(8))
            uphill[y, x] = step
    return uphill


@compiled()
def _brighter(
    best: np.uint16, step: np.uint8, other: np.uint16, number: np.uint8
) -> tuple[np.uint16, np.uint8]:
    return (other, number) if other > best else (best, step)


@compiled()
def _list_rest(grey: NDArray[np.uint8], reached: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Return the pixels that have a grey level and are not reached."""
    height, width = grey.shape
    rest = np.empty(grey.size + 1, np.int32)
    missing = np.empty(width, np.uint8)
    count = 0
    for y in range(height):
        num_missing = 0
        # Without branches the compiler vectorizes this loop.
        for x in range(width):
            missing[x] = np.uint8(grey[y, x] > 0) & np.uint8(reached[y, x] == 0)
            num_missing += missing[x]
        if num_missing > 0:
            for x in range(width):
                rest[count] = y * width + x
                count += missing[x]
    return rest[:count].copy()


@compiled()
def _follow_plateau(
    start: int,
    level: NDArray[np.uint16],
    uphill: NDArray[np.uint8],
    labels: NDArray[np.int32],
    steps: NDArray[np.int64],
    path: NDArray[np.int32],
) -> tuple[int, int]:
    """Collect in ``path`` the unseen pixels of a plateau that cannot climb directly.

    Returns their number, and a neighbour of the same level that climbs or is labelled, or -1.
    """
    labels[start] = ON_PLATEAU
    path[0] = start
    length, done, way_up = 1, 0, -1
    while done < length:
        pixel = path[done]
        done += 1
        for step in steps:
            there = pixel + step
            if level[there] != level[start]:
                continue
            if labels[there] >= 0 or uphill[there] > 0:
                way_up = there
            elif labels[there] == UNSEEN:
                labels[there] = ON_PLATEAU
                path[length] = there
                length += 1
    return length, way_up
