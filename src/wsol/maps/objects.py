"""Several objects in one map: a box and a peak for each."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from wsol.maps.checks import check_score_map, check_thresholds
from wsol.maps.compiled import compiled
from wsol.maps.components import label_objects
from wsol.maps.levels import grey_levels, threshold_levels

LEAST_AREA = 0.005
"""Share of the map below which a spot is no object."""

MOST_OVERLAP = 0.5
"""Share of the smaller of two boxes above which both are of one object."""


class Objects(NamedTuple):
    """The objects of a map.

    Attributes:
        boxes: int64 ``(N, 4)``, x0 y0 x1 y1 in map pixels; x1 and y1 lie one past the last pixel.
        peaks: float64 ``(N,)``, the highest score in each, the highest first.
    """

    boxes: NDArray[np.int64]
    peaks: NDArray[np.float64]


def objects_at(
    score_map: NDArray[np.floating], threshold: float, least_area: float = LEAST_AREA
) -> Objects:
    """Return a box for each connected part of a map above one threshold, where it is large enough.

    Boxes of which one covers more than half of the other become one that holds both. Holes are no
    objects.

    Args:
        score_map: float ``(H, W)`` in [0, 1].
        threshold: share of the map's maximum, in [0, 1).
        least_area: share of the map's pixels that an object has at least; the largest one is kept
            whatever its size.

    Raises:
        ValueError: a map or threshold outside its range.

    >>> score_map = np.array([[0.5, 0.6, 0.0, 0.0, 1.0]])
    >>> [part.tolist() for part in objects_at(score_map, 0.2)]
    [[[4, 0, 5, 1], [0, 0, 2, 1]], [1.0, 0.6]]
    """
    thresholds = np.array([threshold])
    check_score_map(score_map)
    check_thresholds(thresholds)
    grey = grey_levels(score_map)
    above = np.ascontiguousarray(grey > threshold_levels(grey, thresholds)[0])
    boxes, areas, peaks = _measure(above, np.ascontiguousarray(score_map, np.float64))
    if len(areas) == 0:
        return Objects(boxes, peaks)
    kept = areas >= min(least_area * above.size, areas.max())
    boxes, peaks = merge_boxes(boxes[kept], peaks[kept])
    order = np.argsort(-peaks, kind="stable")
    return Objects(boxes[order], peaks[order])


def merge_boxes(
    boxes: NDArray[np.int64], scores: NDArray[np.float64], overlap: float = MOST_OVERLAP
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return boxes of which none covers more than a share of another: such two are made one.

    Args:
        boxes: int64 ``(N, 4)``, x0 y0 x1 y1.
        scores: float64 ``(N,)``; the higher one is kept.
        overlap: share of the smaller box.

    >>> boxes = np.array([[0, 0, 4, 4], [1, 1, 5, 3], [9, 9, 10, 10]])
    >>> [part.tolist() for part in merge_boxes(boxes, np.array([0.5, 0.9, 0.1]))]
    [[[0, 0, 5, 4], [9, 9, 10, 10]], [0.9, 0.1]]
    """
    boxes, scores = boxes.copy(), scores.copy()
    while True:
        corners = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
        sides = (corners - np.maximum(boxes[:, None, :2], boxes[None, :, :2])).clip(min=0)
        areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
        shared = np.triu(sides.prod(2) > overlap * np.minimum(areas[:, None], areas), k=1)
        if not shared.any():
            return boxes, scores
        first, second = np.argwhere(shared)[0]
        boxes[first, :2] = np.minimum(boxes[first, :2], boxes[second, :2])
        boxes[first, 2:] = np.maximum(boxes[first, 2:], boxes[second, 2:])
        scores[first] = max(scores[first], scores[second])
        boxes, scores = np.delete(boxes, second, 0), np.delete(scores, second)


@compiled(nogil=True)
def _measure(
    above: NDArray[np.bool_], score_map: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Return box, number of pixels and highest score of each 8-connected object."""
    framed, objects = label_objects(above)
    width = framed.shape[1]
    boxes = np.empty((objects.number - 1, 4), np.int64)
    boxes[:, :2], boxes[:, 2:] = framed.size, 0
    areas, peaks = np.zeros(len(boxes), np.int64), np.zeros(len(boxes))
    labels = objects.labels.ravel()
    for pixel in objects.rest:
        which = labels[pixel] - 1
        if which >= 0:
            y, x = pixel // width - 1, pixel % width - 1
            box = boxes[which]
            box[0], box[1] = min(box[0], x), min(box[1], y)
            box[2], box[3] = max(box[2], x + 1), max(box[3], y + 1)
            areas[which] += 1
            peaks[which] = max(peaks[which], score_map[y, x])
    return boxes, areas, peaks
