"""The masks of a picture's boxes, in its own pixels."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from wsol.maps import masks_at, scale_boxes, scale_mask

if TYPE_CHECKING:
    from wsol.results.localization import Localization


def box_masks(result: Localization, threshold: float) -> Iterator[NDArray[np.bool_]]:
    """Yield the mask of each box, bool ``(H, W)`` in pixels of the picture.

    Its bounding box is the box, within a pixel. A box without a map is filled.

    Args:
        result: of one picture.
        threshold: share of the map's maximum above which a pixel belongs to the object.

    >>> from wsol import Localization
    >>> result = Localization("a.jpg", (4, 2), heat_map=np.array([[0.1, 1.0]], np.float32),
    ...     boxes=np.array([[2.0, 0.0, 4.0, 2.0]]))
    >>> [mask.astype(int).tolist() for mask in box_masks(result, 0.2)]
    [[[0, 0, 1, 1], [0, 0, 1, 1]]]
    """
    if not result.heat_map.size:
        yield from (_filled(box, result.image_size) for box in result.boxes.tolist())
        return
    height, width = result.heat_map.shape
    size = (width, height)
    boxes = np.rint(scale_boxes(result.boxes, result.image_size, size)).astype(np.int64)
    boxes[:, :2] = boxes[:, :2].clip(0, np.array(size) - 1)
    boxes[:, 2:] = boxes[:, 2:].clip(boxes[:, :2] + 1, size)
    for mask in masks_at(result.heat_map, threshold, boxes):
        yield scale_mask(mask, result.image_size)


def _filled(box: list[float], size: tuple[int, int]) -> NDArray[np.bool_]:
    mask = np.zeros((size[1], size[0]), np.bool_)
    x0, y0, x1, y1 = box
    mask[max(0, math.floor(y0)) : math.ceil(y1), max(0, math.floor(x0)) : math.ceil(x1)] = True
    return mask
