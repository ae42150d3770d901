"""Where basins touch, and at which level."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from wsol.maps._basins import Basins
from wsol.maps._numba import compiled


class Links(NamedTuple):
    """Pairs of basins that touch; a pair may come several times.

    Attributes:
        pair: int32 ``(M, 2)``.
        level: uint8 ``(M,)``, of the darker of two pixels that touch.
    """

    pair: NDArray[np.int32]
    level: NDArray[np.uint8]


@compiled()
def find_links(grey: NDArray[np.uint8], basins: Basins) -> Links:
    """Return where the basins of an image touch.

    Args:
        grey: uint8 ``(H, W)`` with its margin.
        basins: of the image.

    >>> from wsol.maps._basins import label_basins, list_steps
    >>> grey = np.zeros((3, 6), np.uint8)
    >>> grey[1, 1:5] = [9, 1, 3, 7]
    >>> start = (grey == 9).astype(np.uint8)
    >>> basins = label_basins(grey, grey.astype(np.uint16), start, list_steps(6))
    >>> links = find_links(grey, basins)
    >>> links.pair.tolist(), links.level.tolist()
    ([[1, 0]], [1])
    """
    height, width = grey.shape
    labels = basins.labels
    pairs = np.empty((256, 2), np.int32)
    levels = np.empty(256, np.uint8)
    border = np.zeros(width, np.uint8)
    count = 0
    for y in range(1, height):
        # Without a branch the compiler takes many pixels at once, and most rows end here.
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
    """Return the root of a node, and halve the path to it.

    >>> find_root(np.array([0, 0, 1], np.int32), 2)
    0
    """
    while parent[node] != node:
        parent[node] = parent[parent[node]]
        node = parent[node]
    return node
