"""The boxes of what was found, at another threshold."""

from dataclasses import replace

import numpy as np

from wsol.maps import box_confidence, scale_boxes
from wsol.maps.cut import cut_map
from wsol.results.localization import Localization
from wsol.types import Number


def cut_again(
    found: Localization, threshold: float, objects: Number, several_labels: bool = False
) -> Localization:
    """Return what was found of one class with the boxes of another threshold.

    Args:
        found: of one class.
        threshold: share of the map's maximum above which a pixel belongs to the object, in [0, 1).
        objects: ``one`` box, around the largest contour, or ``several``.
        several_labels: whether an image may have several labels, see ``Cut``.

    >>> found = Localization("a.jpg", (50, 10), "cat", 0, 0.5, np.array([[0.2, 0.9, 0, 1]]))
    >>> cut_again(found, 0.5, "several").boxes.tolist()
    [[37.5, 0.0, 50.0, 10.0], [12.5, 0.0, 25.0, 10.0]]
    """
    if not found.heat_map.any():
        return found
    height, width = found.heat_map.shape
    boxes, peaks = cut_map(found.heat_map, threshold, objects)
    sure = found.score if several_labels else box_confidence(found.heat_map, threshold)
    return replace(
        found,
        boxes=scale_boxes(boxes, (width, height), found.image_size),
        box_scores=sure * peaks,
        box_labels=np.full(len(boxes), found.class_index),
    )
