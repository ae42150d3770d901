"""Cells: the pixels of a basin at one level.

The largest basin's cells are computed from the brightest pixel of each row and column, in
vectorized loops. If there are so many basins that a table of cells would be larger than the image,
each pixel outside the largest basin is a separate cell.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from wsol.maps._basins import Basins
from wsol.maps._numba import compiled

LEVELS = 256


class Cells(NamedTuple):
    """Pixels of one basin at one level, ``(C,)`` each.

    Attributes:
        basin: int32.
        level: uint8; 0 without a pixel.
        box: int32 ``(C, 4)``, x0 y0 x1 y1 inclusive, with the margin.
        first: int32, a pixel not after the first in raster order; the minimum over the cells of a
            component is its first pixel.
        area: int32, half squares completed by the cell's pixels: of each square of four pixel
            centres one with the third pixel and one with the fourth.
    """

    basin: NDArray[np.int32]
    level: NDArray[np.uint8]
    box: NDArray[np.int32]
    first: NDArray[np.int32]
    area: NDArray[np.int32]


@compiled()
def gather_cells(grey: NDArray[np.uint8], basins: Basins) -> Cells:
    """Return the cells of the basins of an image with its margin.

    For holes, which are 4-connected, basin 0 is the outside and is ignored, as are areas.
    """
    size = grey.size
    width = grey.shape[1]
    level = grey.ravel()
    labels = basins.labels.ravel()
    grouped = basins.number * LEVELS <= size
    count = basins.number * LEVELS if grouped else LEVELS + size
    cells = Cells(
        np.zeros(count, np.int32),
        np.zeros(count, np.uint8),
        np.empty((count, 4), np.int32),
        np.full(count, size, np.int32),
        np.zeros(count, np.int32),
    )
    cells.box[:, :2], cells.box[:, 2:] = size, -1
    if basins.eight:
        _gather_reached(grey, basins.reached, cells)
    for pixel in basins.rest:
        cell = _cell_of(pixel, level, labels, grouped)
        y = pixel // width
        x = pixel - y * width
        box = cells.box[cell]
        box[0], box[1] = min(box[0], x), min(box[1], y)
        box[2], box[3] = max(box[2], x), max(box[3], y)
        cells.basin[cell] = labels[pixel]
        cells.level[cell] = level[pixel]
        cells.first[cell] = min(cells.first[cell], pixel)
    if basins.eight:
        _gather_areas(grey, basins, grouped, cells.area)
    return cells


@compiled()
def _cell_of(pixel: int, level: NDArray[np.uint8], labels: NDArray[np.int32], grouped: bool) -> int:
    """Return the cell of a pixel; the first 256 always belong to basin 0."""
    if grouped or labels[pixel] == 0:
        return int(labels[pixel]) * LEVELS + int(level[pixel])
    return LEVELS + pixel


@compiled()
def _gather_reached(grey: NDArray[np.uint8], reached: NDArray[np.uint8], cells: Cells) -> None:
    """Fill the cells of basin 0 from the reached pixels."""
    height, width = grey.shape
    row, columns = np.zeros((2, width), np.uint8)
    peak = 0
    for y in range(1, height - 1):
        brightest = np.uint8(0)
        # Without branches the compiler vectorizes this loop.
        for x in range(1, width - 1):
            value = grey[y, x] * reached[y, x]
            row[x] = value
            columns[x] = max(columns[x], value)
            brightest = max(brightest, value)
        if brightest == 0:
            continue
        box = cells.box[brightest]
        box[1], box[3] = min(box[1], y), max(box[3], y)
        if brightest > peak:
            # A level has its first pixel in this row only if the previous peak is exceeded.
            passed = peak
            for x in range(1, width - 1):
                if row[x] > passed:
                    passed = int(row[x])
                    cells.first[passed] = y * width + x
            peak = int(brightest)
    for x in range(1, width - 1):
        box = cells.box[columns[x]]
        box[0], box[2] = min(box[0], x), max(box[2], x)
    for level in range(1, peak + 1):
        cells.level[level] = level


@compiled()
def _gather_areas(
    grey: NDArray[np.uint8], basins: Basins, grouped: bool, area: NDArray[np.int32]
) -> None:
    """Count every square of four pixel centres in the cells of its third and fourth pixel."""
    height, width = grey.shape
    level, labels, reached = grey.ravel(), basins.labels.ravel(), basins.reached
    third, fourth, plain = np.zeros((3, width), np.uint8)
    for y in range(height - 1):
        # Without branches the compiler vectorizes this loop.
        for x in range(width - 1):
            upper, upper_too = grey[y, x], grey[y, x + 1]
            lower, lower_too = grey[y + 1, x], grey[y + 1, x + 1]
            low, low_too = min(upper, upper_too), min(lower, lower_too)
            high, high_too = max(upper, upper_too), max(lower, lower_too)
            fourth[x] = min(low, low_too)
            third[x] = min(max(low, low_too), min(high, high_too))
            plain[x] = reached[y, x] & reached[y, x + 1] & reached[y + 1, x] & reached[y + 1, x + 1]
        for x in range(width - 1):
            if plain[x]:
                area[third[x]] += 1
                area[fourth[x]] += 1
                continue
            if third[x] == 0:
                continue
            pixel = y * width + x
            mine = labels[pixel]
            differs = labels[pixel + 1] ^ mine
            differs |= (labels[pixel + width] ^ mine) | (labels[pixel + width + 1] ^ mine)
            if grouped and differs == 0:
                area[mine * LEVELS + third[x]] += 1
                area[mine * LEVELS + fourth[x]] += 1
                continue
            for value in (third[x], fourth[x]):
                corner = _corner_of(value, level, pixel, width)
                area[_cell_of(corner, level, labels, grouped)] += value > 0


@compiled()
def _corner_of(value: int, level: NDArray[np.uint8], pixel: int, width: int) -> int:
    """Return the corner of a square with a given level, of those right of and below a pixel."""
    if level[pixel] == value:
        return pixel
    if level[pixel + 1] == value:
        return pixel + 1
    return pixel + width if level[pixel + width] == value else pixel + width + 1


class Links(NamedTuple):
    """Pairs of basins that touch; a pair may occur more than once.

    Attributes:
        pair: int32 ``(M, 2)``.
        level: uint8 ``(M,)``, level of the darker of two touching pixels.
    """

    pair: NDArray[np.int32]
    level: NDArray[np.uint8]


@compiled()
def find_links(grey: NDArray[np.uint8], basins: Basins) -> Links:
    """Return where the basins of an image with its margin touch."""
    height, width = grey.shape
    labels = basins.labels
    pairs = np.empty((256, 2), np.int32)
    levels = np.empty(256, np.uint8)
    border = np.zeros(width, np.uint8)
    count = 0
    for y in range(1, height):
        # Without branches the compiler vectorizes this loop, and most rows end here.
        num_border = 0
        for x in range(1, width - 1):
            mine = labels[y, x]
            border[x] = (
                (labels[y, x - 1] != mine)
                | (labels[y - 1, x - 1] != mine)
                | (labels[y - 1, x] != mine)
                | (labels[y - 1, x + 1] != mine)
            )
            num_border += border[x]
        if num_border == 0:
            continue
        if count + 4 * num_border > len(levels):
            more = max(len(levels), 4 * num_border)
            pairs = np.concatenate((pairs, np.empty((more, 2), np.int32)))
            levels = np.concatenate((levels, np.empty(more, np.uint8)))
        for x in range(1, width - 1):
            if not border[x]:
                continue
            for there_y, there_x, touches in (
                (y, x - 1, True),
                (y - 1, x, True),
                (y - 1, x - 1, basins.eight),
                (y - 1, x + 1, basins.eight),
            ):
                level = min(grey[y, x], grey[there_y, there_x])
                if touches and level > 0 and labels[y, x] != labels[there_y, there_x]:
                    pairs[count, 0], pairs[count, 1] = labels[y, x], labels[there_y, there_x]
                    levels[count] = level
                    count += 1
    return Links(pairs[:count], levels[:count])


@compiled()
def find_root(parent: NDArray[np.int32], node: int) -> int:
    """Return the root of a node, with path halving."""
    while parent[node] != node:
        parent[node] = parent[parent[node]]
        node = parent[node]
    return node
