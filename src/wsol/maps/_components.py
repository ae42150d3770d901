"""Boxes of the objects and holes at one level, and the largest contour."""

import numpy as np
from numpy.typing import NDArray

from wsol.maps._basins import Basins, label_basins, list_steps, margin_of
from wsol.maps._numba import compiled


@compiled(nogil=True)
def find_components(above: NDArray[np.bool_]) -> tuple[NDArray[np.int64], int]:
    """Return the boxes of the contours of a mask ``(H, W)``, as OpenCV's tree mode.

    Returns:
        boxes: int64 ``(N, 4)``, x0 y0 x1 y1, where x1 and y1 lie one past the last pixel: first the
            8-connected objects in raster order of their first pixels, then their holes, whose
            contours follow the surrounding pixels.
        largest: index of the object with the largest contour area, the last of ties, which is the
            first in OpenCV's order; -1 without objects.
    """
    framed, objects = label_objects(above)
    around, steps = np.uint8(1) - framed, list_steps(framed.shape[1])[:4]
    holes = label_basins(around, around.astype(np.uint16), margin_of(framed), steps)
    boxes = (
        list_boxes(objects.labels, objects.rest, objects.number - 1, 0),
        list_boxes(holes.labels, holes.rest, holes.number - 1, 1),
    )
    return np.concatenate(boxes), _find_largest(framed, objects, holes)


@compiled(nogil=True)
def label_objects(above: NDArray[np.bool_]) -> tuple[NDArray[np.uint8], Basins]:
    """Return a mask with a margin of one pixel around it, and its 8-connected objects."""
    height, width = above.shape
    framed = np.zeros((height + 2, width + 2), np.uint8)
    framed[1:-1, 1:-1] = above
    nothing, steps = np.zeros_like(framed), list_steps(width + 2)
    return framed, label_basins(framed, framed.astype(np.uint16), nothing, steps)


@compiled(nogil=True)
def label_components(above: NDArray[np.bool_]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Return the object of each pixel of a mask ``(H, W)``, and the objects' boxes.

    Labels and boxes are those of ``label_regions``; the objects are 8-connected.
    """
    _, objects = label_objects(above)
    boxes = list_boxes(objects.labels, objects.rest, objects.number - 1, 0)
    return objects.labels[1:-1, 1:-1].copy(), boxes


@compiled()
def list_boxes(
    labels: NDArray[np.int32], rest: NDArray[np.int32], number: int, grow: int
) -> NDArray[np.int64]:
    """Return the boxes ``(number, 4)`` of labels from 1, which have a margin.

    ``rest`` are the pixels with labels. Boxes grow on each side.
    """
    width = labels.shape[1]
    boxes = np.empty((number, 4), np.int64)
    boxes[:, :2], boxes[:, 2:] = labels.size, 0
    flat = labels.ravel()
    for pixel in rest:
        label = flat[pixel]
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
