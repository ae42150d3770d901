"""Intersection over union of boxes on a grid of pixels."""

import numpy as np
from numpy.typing import NDArray


def box_iou(a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the IoU of every box of ``a`` with every box of ``b``, counting pixels inclusively.

    Args:
        a: int ``(N, 4)``, x0 y0 x1 y1 in pixels, both corners inside the box.
        b: int ``(M, 4)``, the same.

    Returns:
        float64 ``(N, M)`` in [0, 1].

    >>> box_iou(np.array([[0, 0, 3, 3]]), np.array([[0, 0, 3, 3], [2, 2, 5, 5], [9, 9, 9, 9]]))
    array([[1.        , 0.14285714, 0.        ]])
    """
    a, b = a[:, None, :], b[None, :, :]
    overlap = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]) + 1
    intersection = overlap.clip(min=0).prod(-1)
    area_a, area_b = ((box[..., 2:] - box[..., :2] + 1).prod(-1) for box in (a, b))
    iou: NDArray[np.float64] = intersection / (area_a + area_b - intersection)
    return iou
