"""The boxes of a map that is there, at another threshold."""

from dataclasses import replace
from typing import Literal

import numpy as np

from wsol.localization import Localization
from wsol.maps import boxes_at, objects_at, scale_boxes


def cut_again(
    found: Localization, threshold: float, objects: Literal["one", "several"]
) -> Localization:
    """Return what was found of one class with the boxes of another threshold.

    Args:
        found: of one class.
        threshold: share of the map's maximum above which a pixel belongs to the object, in [0, 1).
        objects: ``one`` box, around the largest contour, or ``several``.

    >>> found = Localization("a.jpg", (50, 10), "cat", 0, 0.5, np.array([[0.2, 0.9, 0, 1]]))
    >>> cut_again(found, 0.5, "several").boxes.tolist()
    [[37.5, 0.0, 50.0, 10.0], [12.5, 0.0, 25.0, 10.0]]
    """
    if not found.heat_map.any():
        return found
    height, width = found.heat_map.shape
    if objects == "several":
        boxes, peaks = objects_at(found.heat_map, threshold)
    else:
        boxes = boxes_at(found.heat_map, threshold, "largest")
        peaks = np.ones(len(boxes))
    return replace(
        found,
        boxes=scale_boxes(boxes, (width, height), found.image_size),
        box_scores=found.score * peaks,
        box_labels=np.full(len(boxes), found.class_index),
    )
