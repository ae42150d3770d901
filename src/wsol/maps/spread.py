"""Which pixels climb to one peak, found for many pixels at once."""

import numpy as np
from numpy.typing import NDArray

from wsol.maps._numba import compiled


@compiled()
def spread(grey: NDArray[np.uint8], start: NDArray[np.uint8], eight: bool) -> NDArray[np.uint8]:
    """Return 1 where a pixel is found to climb to the start without going down, else 0.

    Rows are swept down and up, columns right and left, and rows once more. That finds most of the
    pixels that climb to the start, not all of them.

    Args:
        grey: uint8 ``(H, W)`` with a margin of one pixel.
        start: uint8 ``(H, W)``, 1 at the start, else 0.
        eight: diagonal neighbours touch.

    >>> grey = np.zeros((3, 7), np.uint8)
    >>> grey[1, 1:6] = [3, 5, 4, 4, 6]
    >>> spread(grey, (grey == 5).astype(np.uint8), True)[1, 1:6].tolist()
    [1, 1, 1, 1, 0]
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
            # Without a branch, and into a row of its own, the compiler takes many pixels at once.
            for x in range(1, width - 1):
                here = grey[y, x]
                found = reached[y, x] | (reached[last, x] & np.uint8(grey[last, x] >= here))
                if eight:
                    found |= reached[last, x - 1] & np.uint8(grey[last, x - 1] >= here)
                    found |= reached[last, x + 1] & np.uint8(grey[last, x + 1] >= here)
                row[x] = found
            for x in range(1, width - 1):
                reached[y, x] = row[x]
