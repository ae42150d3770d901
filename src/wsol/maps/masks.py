"""Object masks from boxes and score maps."""

import numpy as np
from numpy.typing import NDArray

from wsol.maps._components import label_components
from wsol.maps.boxes import label_regions
from wsol.maps.normalize import above_threshold


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
