"""Basins of a grey image: each pixel and the peak that it climbs to.

A pixel climbs to a brighter neighbour, and a plateau to a brighter neighbour of any of its pixels.
On the way it never leaves the set of pixels at least as bright as itself, so the part of a basin
above any level is connected, and the components above a level are unions of such parts. The tree of
components over all levels is then a tree of a few basins, not of all pixels.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True, inline="always")
def find(parent: NDArray[np.int32], node: int) -> int:
    """Return the root of a node, and halve the path to it.

    >>> find(np.array([0, 0, 1], np.int32), 2)
    0
    """
    while parent[node] != node:
        parent[node] = parent[parent[node]]
        node = parent[node]
    return node


@njit(cache=True)
def label_basins(image: NDArray[np.uint8], eight: bool) -> tuple[NDArray[np.int32], int]:
    """Return the basin of each pixel, ``(H * W,)``, and the number of basins.

    Args:
        image: uint8 ``(H, W)``.
        eight: diagonal neighbours touch.

    >>> labels, count = label_basins(np.array([[9, 1, 7, 7]], np.uint8), True)
    >>> labels.tolist(), count
    ([0, 1, 1, 1], 2)
    """
    height, width = image.shape
    size = height * width
    grey = image.ravel()
    parent = np.empty(size, np.int32)
    uphill = np.full(size, -1, np.int32)
    for y in range(height):
        for x in range(width):
            here = y * width + x
            parent[here] = here
            for k in range(4 if eight else 2):
                # The neighbours already seen: west, north, north-west, north-east.
                if (k == 0 or k == 2) and x == 0:
                    continue
                if (k > 0 and y == 0) or (k == 3 and x == width - 1):
                    continue
                there = here - 1 if k == 0 else here - width + (0 if k == 1 else 2 * k - 5)
                if grey[there] > grey[here]:
                    uphill[here] = there
                elif grey[there] < grey[here]:
                    uphill[there] = here
                else:
                    a, b = find(parent, here), find(parent, there)
                    parent[max(a, b)] = min(a, b)
    for here in range(size):
        if uphill[here] >= 0:
            uphill[find(parent, here)] = uphill[here]
    labels = np.empty(size, np.int32)
    count = 0
    for here in range(size):
        if parent[here] == here:
            if uphill[here] >= 0:
                parent[here] = uphill[here]
            else:
                labels[here] = count
                count += 1
    for here in range(size):
        labels[here] = labels[find(parent, here)]
    return labels, count
