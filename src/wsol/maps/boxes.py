"""Boxes and masks of score maps."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from wsol.maps._basins import label_basins, list_steps
from wsol.maps._cells import Links, find_links, find_root
from wsol.maps._components import find_components, label_components, list_boxes
from wsol.maps._numba import compiled
from wsol.maps.normalize import above_threshold, fine_levels, grey_levels
from wsol.types import ContourRule, Instances

LEAST_AREA = 0.005
"""Minimum area of an object, as a fraction of the map."""

LEAST_SADDLE = 0.75
"""Minimum saddle, as a fraction of the lower of two peaks, that joins both to one object."""

MOST_OVERLAP = 0.8
"""Overlap, as a fraction of the smaller of two boxes, above which both belong to one object."""


class Objects(NamedTuple):
    """Objects of a map.

    Attributes:
        boxes: int64 ``(N, 4)``, x0 y0 x1 y1 in map pixels; x1 and y1 lie one past the last pixel.
        peaks: float64 ``(N,)``, maximum score of each object, in descending order.
    """

    boxes: NDArray[np.int64]
    peaks: NDArray[np.float64]


def objects_at(
    score_map: NDArray[np.floating],
    threshold: float,
    least_area: float = LEAST_AREA,
    least_saddle: float = LEAST_SADDLE,
) -> Objects:
    """Return a box for each sufficiently large object of a map above one threshold.

    Regions of a connected component are separate objects if the map falls between their peaks below
    a fraction of the lower one. Boxes of which one covers most of the other (``MOST_OVERLAP``) are
    merged into their bounding box. Holes are not objects.

    Args:
        score_map: float ``(H, W)`` in [0, 1].
        threshold: fraction of the map's maximum, in [0, 1).
        least_area: minimum fraction of the map's pixels per object; the largest object is always
            kept.
        least_saddle: minimum saddle that joins two peaks to one object, as a fraction of the lower
            peak, in [0, 1]. 0: each connected component is one object.

    Raises:
        ValueError: the map or the threshold is outside its range.

    Source: Soille, Morphological Image Analysis, 2003, section 9.2: a watershed whose minima are
    filtered by their dynamics; here the dynamics are relative to the peak.

    >>> score_map = np.array([[0.5, 0.6, 0.0, 0.0, 1.0, 0.6, 0.9]])
    >>> [part.tolist() for part in objects_at(score_map, 0.2)]
    [[[4, 0, 6, 1], [6, 0, 7, 1], [0, 0, 2, 1]], [1.0, 0.9, 0.6]]
    >>> objects_at(score_map, 0.2, least_saddle=0).boxes.tolist()
    [[4, 0, 7, 1], [0, 0, 2, 1]]
    """
    labels, boxes = label_regions(score_map, threshold, least_saddle)
    if len(boxes) == 0:
        return Objects(boxes, np.zeros(0))
    areas, peaks = _measure(labels, np.ascontiguousarray(score_map, np.float64), len(boxes))
    kept = areas >= min(least_area * labels.size, areas.max())
    boxes, peaks = merge_boxes(boxes[kept], peaks[kept])
    order = np.argsort(-peaks, kind="stable")
    return Objects(boxes[order], peaks[order])


def label_regions(
    score_map: NDArray[np.floating], threshold: float, least_saddle: float = LEAST_SADDLE
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Return the object of each pixel of a map, and the objects' boxes, see ``objects_at``.

    Returns:
        labels: int32 ``(H, W)``, from 1 in raster order of the objects' first pixels; 0 outside.
        boxes: int64 ``(N, 4)``, x0 y0 x1 y1 of each; x1 and y1 lie one past the last pixel.

    Raises:
        ValueError: the map or the threshold is outside its range.
    """
    above = above_threshold(score_map, threshold)
    levels = grey_levels(score_map), fine_levels(score_map)
    framed, fine = (np.ascontiguousarray(np.pad(each * above, 1)) for each in levels)
    labels, boxes = _label_regions(framed, fine, float(least_saddle))
    return labels[1:-1, 1:-1].copy(), boxes


def merge_boxes(
    boxes: NDArray[np.int64], scores: NDArray[np.float64], overlap: float = MOST_OVERLAP
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Merge boxes of which one covers more than a fraction of the other.

    Args:
        boxes: int64 ``(N, 4)``, x0 y0 x1 y1.
        scores: float64 ``(N,)``; the higher one is kept.
        overlap: fraction of the smaller box.

    >>> boxes = np.array([[0, 0, 4, 4], [0, 0, 5, 4], [9, 9, 10, 10]])
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
def _label_regions(
    grey: NDArray[np.uint8], fine: NDArray[np.uint16], least_saddle: float
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Label the objects of a map with its margin; 0 for pixels not above the threshold."""
    basins = label_basins(grey, fine, np.zeros_like(grey), list_steps(grey.shape[1]))
    level, basin = grey.ravel(), basins.labels.ravel()
    peak = np.zeros(basins.number, np.uint8)
    for pixel in basins.rest:
        peak[basin[pixel]] = max(peak[basin[pixel]], level[pixel])
    parent = _join(find_links(grey, basins), peak, least_saddle)
    number, name = 0, np.zeros(basins.number, np.int32)
    labels = np.zeros_like(basins.labels)
    part = labels.ravel()
    for pixel in basins.rest:
        root = find_root(parent, basin[pixel])
        if name[root] == 0:
            number += 1
            name[root] = number
        part[pixel] = name[root]
    return labels, list_boxes(labels, basins.rest, number, 0)


@compiled()
def _join(links: Links, peak: NDArray[np.uint8], least_saddle: float) -> NDArray[np.int32]:
    """Return the parent of each basin; the highest basin of an object is its own parent.

    The highest saddles are joined first, equal ones in the order of their first pixels.
    """
    parent = np.arange(len(peak)).astype(np.int32)
    darkness = np.uint8(255) - links.level
    for which in np.argsort(darkness, kind="mergesort"):
        one = find_root(parent, links.pair[which, 0])
        other = find_root(parent, links.pair[which, 1])
        high, low = (one, other) if peak[one] >= peak[other] else (other, one)
        if links.level[which] >= least_saddle * peak[low]:
            parent[low] = high
    return parent


@compiled(nogil=True)
def _measure(
    labels: NDArray[np.int32], score_map: NDArray[np.float64], number: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the number of pixels and the maximum score of each object."""
    areas, peaks = np.zeros(number, np.int64), np.zeros(number)
    scores, names = score_map.ravel(), labels.ravel()
    for pixel in range(names.size):
        if names[pixel] > 0:
            index = names[pixel] - 1
            areas[index] += 1
            peaks[index] = max(peaks[index], scores[pixel])
    return areas, peaks


def boxes_at(
    score_map: NDArray[np.floating], threshold: float, contours: ContourRule = "all"
) -> NDArray[np.int64]:
    """Return the boxes of a map's contours at one threshold, int64 ``(N, 4)``, N may be 0.

    Args:
        score_map: float ``(H, W)`` in [0, 1].
        threshold: fraction of the map's maximum, in [0, 1).
        contours: ``all``: contours of objects, in raster order of their first pixels, then of
            holes; ``largest``: only the contour with the largest area.

    Raises:
        ValueError: the map or the threshold is outside its range, or the map has 2^29 pixels or
            more.

    The boxes are x0 y0 x1 y1 in map pixels; x1 and y1 lie one past the last pixel.

    >>> score_map = np.array([[0.0, 0.2, 1.0, 0.0, 0.9]])
    >>> boxes_at(score_map, 0.1).tolist(), boxes_at(score_map, 0.95, "largest").tolist()
    ([[1, 0, 3, 1], [4, 0, 5, 1]], [[2, 0, 3, 1]])
    """
    boxes, largest = find_components(above_threshold(score_map, threshold))
    if contours == "largest":
        return boxes[largest : largest + 1] if largest >= 0 else boxes[:0]
    return boxes


def scale_boxes(
    boxes: NDArray[np.integer | np.floating], size: tuple[int, int], to: tuple[int, int]
) -> NDArray[np.float64]:
    """Convert boxes of an image at one size to pixels of the image at another size.

    Args:
        boxes: ``(N, 4)``, x0 y0 x1 y1.
        size: width and height that the boxes belong to.
        to: width and height of the result.

    >>> scale_boxes(np.array([[0, 0, 7, 14]]), size=(14, 14), to=(28, 140)).tolist()
    [[0.0, 0.0, 14.0, 140.0]]
    """
    # Multiplied before divided, as in the published evaluator: it affects the later truncation to
    # whole pixels.
    scaled: NDArray[np.float64] = boxes * np.tile(np.array(to), 2) / np.tile(np.array(size), 2)
    return scaled


def threshold_map(
    heat_map: NDArray[np.floating], threshold: float, instances: Instances
) -> Objects:
    """Return the boxes of a map in map pixels, the one with the highest peak first.

    Args:
        heat_map: float ``(H, W)`` in [0, 1].
        threshold: fraction of the map's maximum, in [0, 1).
        instances: ``single`` box, around the largest contour, with a peak of 1; or ``multiple``.

    >>> heat_map = np.array([[0.2, 0.9, 0, 1]])
    >>> [part.tolist() for part in threshold_map(heat_map, 0.5, "multiple")]
    [[[3, 0, 4, 1], [1, 0, 2, 1]], [1.0, 0.9]]
    """
    if instances == "multiple":
        return objects_at(heat_map, threshold)
    boxes = boxes_at(heat_map, threshold, "largest")
    return Objects(boxes, np.ones(len(boxes)))


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


def masks_at(
    score_map: NDArray[np.floating], threshold: float, boxes: NDArray[np.integer]
) -> NDArray[np.bool_]:
    """Return the mask of each box of a map, bool ``(N, H, W)``.

    A mask has the pixels above the threshold of the connected component of the box, or of the
    object of ``objects_at`` in it. If a box contains several components, the mask has all of them;
    if a component extends beyond the box, as on a map of multiple classes, the mask has the part
    inside. A box of another map, whose sides are not reached, is filled. The bounding box of a mask
    is thus always its box.

    Args:
        score_map: float ``(H, W)`` in [0, 1].
        threshold: fraction of the map's maximum, in [0, 1).
        boxes: integers ``(N, 4)``, x0 y0 x1 y1 in map pixels, inside the map and not empty; x1
            and y1 lie one past the last pixel.

    Raises:
        ValueError: the map or the threshold is outside its range.

    >>> score_map = np.array([[0.0, 0.2, 1.0, 0.0, 0.9]])
    >>> masks_at(score_map, 0.1, np.array([[1, 0, 3, 1], [1, 0, 5, 1]])).astype(int).tolist()
    [[[0, 1, 1, 0, 0]], [[0, 1, 1, 0, 1]]]
    """
    components = label_components(above_threshold(score_map, threshold))
    objects = label_regions(score_map, threshold)
    masks = np.zeros((len(boxes), *score_map.shape), np.bool_)
    for mask, box in zip(masks, boxes, strict=True):
        x0, y0, x1, y1 = box.tolist()
        own = [_same(part, box) for part in (components, objects)]
        labels, parts = components
        inside = (parts[:, :2] >= box[:2]).all(1) & (parts[:, 2:] <= box[2:]).all(1)
        several = np.isin(labels, np.flatnonzero(inside) + 1)
        candidates = (*own, several, labels > 0, np.ones_like(several))
        windows = (found[y0:y1, x0:x1] for found in candidates)
        mask[y0:y1, x0:x1] = next(found for found in windows if _reaches_all_sides(found))
    return masks


def scale_mask(mask: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Resize a mask of an image.

    A pixel takes the value at its centre; when downscaling, it is set if any pixel that it covers
    is, so that no object is lost. Sides of objects stay within one pixel.

    Args:
        mask: bool ``(H, W)``.
        size: width and height of the result.

    >>> mask = np.array([[True, False, False, False]])
    >>> scale_mask(mask, (2, 1)).tolist(), scale_mask(mask, (8, 1)).astype(int).tolist()
    ([[True, False]], [[1, 1, 0, 0, 0, 0, 0, 0]])
    """
    width, height = size
    return _scale_rows(_scale_rows(mask, height).T, width).T


def _scale_rows(mask: NDArray[np.bool_], number: int) -> NDArray[np.bool_]:
    rows, index = len(mask), np.arange(number)
    if number >= rows:
        return mask[(2 * index + 1) * rows // (2 * number)]
    first, past = index * rows // number, -(-(index + 1) * rows // number)
    count = np.zeros((rows + 1, mask.shape[1]), np.int32)
    np.cumsum(mask, axis=0, dtype=np.int32, out=count[1:])
    covered: NDArray[np.bool_] = count[past] > count[first]
    return covered


def _same(
    labelled: tuple[NDArray[np.int32], NDArray[np.int64]], box: NDArray[np.integer]
) -> NDArray[np.bool_]:
    """Return the pixels of the labels whose boxes equal the given one."""
    labels, boxes = labelled
    return np.isin(labels, np.flatnonzero((boxes == box).all(1)) + 1)


def _reaches_all_sides(mask: NDArray[np.bool_]) -> bool:
    return bool(mask[0].any() and mask[-1].any() and mask[:, 0].any() and mask[:, -1].any())
