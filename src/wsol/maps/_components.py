"""Boxes of the objects and holes at one level, and the largest contour."""

import numpy as np
from numpy.typing import NDArray

from wsol.maps._basins import Basins, label_basins, list_steps
from wsol.maps._numba import compiled


@compiled(nogil=True)
def find_components(above: NDArray[np.bool_]) -> tuple[NDArray[np.int64], int]:
    """Return the boxes of the contours of a mask, as OpenCV's tree mode.

    Args:
        above: bool ``(H, W)``.

    Returns:
        boxes: int64 ``(N, 4)``, x0 y0 x1 y1, where x1 and y1 lie one past the last pixel: first the
            8-connected objects in raster order of their first pixels, then their holes, whose
            contours follow the surrounding pixels.
        largest: index of the object with the largest contour area, the last of ties, which is the
            first in OpenCV's order; -1 without objects.

    >>> above = np.zeros((5, 9), np.bool_)
    >>> above[1:4, 1:4] = True
    >>> above[2, 2] = False
    >>> above[2, 6] = True
    >>> boxes, largest = find_components(above)
    >>> boxes.tolist(), largest
    ([[1, 1, 4, 4], [6, 2, 7, 3], [1, 1, 4, 4]], 0)
    """
    framed, objects = label_objects(above)
    width = framed.shape[1]
    frame = np.zeros_like(framed)
    frame[0], frame[-1] = 1, 1
    frame[:, 0], frame[:, -1] = 1, 1
    around = np.uint8(1) - framed
    holes = label_basins(around, around.astype(np.uint16), frame, list_steps(width)[:4])
    boxes = np.concatenate((_list_boxes(objects, width, 0), _list_boxes(holes, width, 1)))
    return boxes, _find_largest(framed, objects, holes)


@compiled(nogil=True)
def label_objects(above: NDArray[np.bool_]) -> tuple[NDArray[np.uint8], Basins]:
    """Return a mask with a margin of one pixel around it, and its 8-connected objects.

    Args:
        above: bool ``(H, W)``.

    >>> framed, objects = label_objects(np.eye(3, dtype=np.bool_))
    >>> framed.shape, objects.number - 1
    ((5, 5), 1)
    """
    height, width = above.shape
    framed = np.zeros((height + 2, width + 2), np.uint8)
    for y in range(height):
        for x in range(width):
            framed[y + 1, x + 1] = above[y, x]
    nothing, steps = np.zeros_like(framed), list_steps(width + 2)
    return framed, label_basins(framed, framed.astype(np.uint16), nothing, steps)


@compiled(nogil=True)
def label_components(above: NDArray[np.bool_]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Return the object of each pixel of a mask, and the objects' boxes.

    Args:
        above: bool ``(H, W)``.

    Returns:
        labels: int32 ``(H, W)``, from 1 in raster order of the 8-connected objects' first pixels;
            0 outside.
        boxes: int64 ``(N, 4)``, x0 y0 x1 y1 of each; x1 and y1 lie one past the last pixel.

    >>> labels, boxes = label_components(np.array([[True, False, True, True]]))
    >>> labels.tolist(), boxes.tolist()
    ([[1, 0, 2, 2]], [[0, 0, 1, 1], [2, 0, 4, 1]])
    """
    _, objects = label_objects(above)
    return objects.labels[1:-1, 1:-1].copy(), _list_boxes(objects, above.shape[1] + 2, 0)


@compiled()
def _list_boxes(basins: Basins, width: int, grow: int) -> NDArray[np.int64]:
    boxes = np.empty((basins.number - 1, 4), np.int64)
    boxes[:, :2], boxes[:, 2:] = basins.labels.size, 0
    labels = basins.labels.ravel()
    for pixel in basins.rest:
        label = labels[pixel]
        if label > 0:
            # Subtract the margin.
            y, x = pixel // width - 1, pixel % width - 1
            box = boxes[label - 1]
            box[0], box[1] = min(box[0], x - grow), min(box[1], y - grow)
            box[2], box[3] = max(box[2], x + grow + 1), max(box[3], y + grow + 1)
    return boxes


@compiled()
def _find_largest(framed: NDArray[np.uint8], objects: Basins, holes: Basins) -> int:
    """Compare objects by filled area: the largest contour is an outermost one."""
    if objects.number <= 2:
        return objects.number - 2
    height, width = framed.shape
    filled = framed.copy()
    inside, hole, outermost = filled.ravel(), holes.labels.ravel(), objects.labels.ravel()
    for pixel in holes.rest:
        if hole[pixel] > 0:
            inside[pixel] = 1
    nothing = np.zeros_like(framed)
    whole = label_basins(filled, filled.astype(np.uint16), nothing, list_steps(width))
    labels = whole.labels.ravel()
    area = np.zeros(whole.number, np.int64)
    for y in range(height - 1):
        for pixel in range(y * width, y * width + width - 1):
            # The largest label is the component's, as no other is within a distance of three.
            corners = (pixel, pixel + 1, pixel + width, pixel + width + 1)
            num_inside, label = 0, 0
            for corner in corners:
                num_inside += inside[corner]
                label = max(label, labels[corner])
            # In half squares.
            area[label] += max(0, num_inside - 2)
    largest, most = -1, -1
    for pixel in whole.rest:
        label = labels[pixel]
        # The first pixel of an outermost object is that of its filled component.
        if area[label] >= most:
            largest, most = outermost[pixel] - 1, area[label]
        area[label] = -1
    return largest
