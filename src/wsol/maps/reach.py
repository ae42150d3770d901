"""Which pixels climb to which peak, found for many pixels at once."""

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True)
def spread(grey: NDArray[np.uint8], named: NDArray[np.uint8], eight: bool) -> NDArray[np.uint8]:
    """Return names of pixels, handed on to neighbours that are not brighter and have none.

    Rows are swept down and up, columns right and left, and rows once more. That names most of the pixels that
    climb to a named one without going down, not all of them.

    Args:
        grey: uint8 ``(H, W)`` with a margin of one pixel.
        named: uint8 ``(H, W)``, the names to begin with; 0 is none.
        eight: diagonal neighbours touch.

    >>> grey = np.zeros((3, 7), np.uint8)
    >>> grey[1, 1:6] = [3, 5, 4, 4, 6]
    >>> spread(grey, (grey == 5).astype(np.uint8), True)[1, 1:6].tolist()
    [1, 1, 1, 1, 0]
    """
    named = named.copy()
    _sweep_rows(grey, named, eight)
    across = named.T.copy()
    _sweep_rows(grey.T.copy(), across, eight)
    named = across.T.copy()
    _sweep_rows(grey, named, eight)
    return named


@njit(cache=True)
def _sweep_rows(grey: NDArray[np.uint8], named: NDArray[np.uint8], eight: bool) -> None:
    height, width = grey.shape
    row = np.zeros(width, np.uint8)
    for way in (1, -1):
        for i in range(1, height - 1):
            y = i if way == 1 else height - 1 - i
            last = y - way
            # Without a branch, and into a row of its own, the compiler takes many pixels at once.
            for x in range(1, width - 1):
                here, name = grey[y, x], named[y, x]
                name = _hand_on(name, named[last, x], grey[last, x] >= here)
                if eight:
                    name = _hand_on(name, named[last, x - 1], grey[last, x - 1] >= here)
                    name = _hand_on(name, named[last, x + 1], grey[last, x + 1] >= here)
                row[x] = name
            for x in range(1, width - 1):
                named[y, x] = row[x]


@njit(cache=True)
def _hand_on(name: np.uint8, other: np.uint8, climbs: bool) -> np.uint8:
    return other if climbs and name == 0 else name
