"""Boxes from the score maps of an image."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from wsol.maps import box_confidence, normalize, scale_boxes
from wsol.maps.boxes import threshold_map
from wsol.results.localization import Localization
from wsol.types import Instances, Normalization


class Postprocessing(NamedTuple):
    """Options for boxes from score maps.

    The probabilities of a multi-label image are independent, as it may show any number of classes.
    """

    classes: tuple[str, ...]
    threshold: float
    normalization: Normalization
    instances: Instances
    is_multi_label: bool = False


def localize_image(
    cut: Postprocessing,
    name: str,
    original_size: tuple[int, int],
    labels: NDArray[np.int64],
    scores: NDArray[np.float64],
    score_maps: NDArray[np.float32],
) -> Localization:
    """Return the boxes of an image's classes, ``(K,)``; -1 for none.

    The original size is width and height. Each class has a probability and a raw score map.

    >>> maps = np.zeros((1, 4, 4), np.float32)
    >>> maps[0, :2, :2] = 1
    >>> cut = Postprocessing(("cat", "dog"), 0.5, "minmax", "single")
    >>> found = localize_image(cut, "a.jpg", (8, 8), np.array([1]), np.array([0.9]), maps)
    >>> found.label, found.boxes.tolist()
    ('dog', [[0.0, 0.0, 4.0, 4.0]])
    """
    height, width = score_maps.shape[1:]
    heat_map = np.zeros((height, width), np.float32)
    boxes, box_scores, box_labels = [np.zeros((0, 4))], [np.zeros(0)], [np.zeros(0, np.int64)]
    for label, score, score_map in zip(labels, scores, score_maps, strict=True):
        own, has_object = normalize(score_map, cut.normalization)
        if label < 0 or not has_object:
            continue
        heat_map = np.maximum(heat_map, own)
        found, peaks = threshold_map(own, cut.threshold, cut.instances)
        boxes.append(scale_boxes(found, (width, height), original_size))
        # The softmax probability compares classes, so it is not a confidence of the box.
        sure = score if cut.is_multi_label else box_confidence(own, cut.threshold)
        box_scores.append(sure * peaks)
        box_labels.append(np.full(len(found), label))
    order = np.argsort(-np.concatenate(box_scores), kind="stable")
    best = int(np.where(labels < 0, -1, scores).argmax())
    return Localization(
        image_id=name,
        original_size=original_size,
        label=cut.classes[labels[best]],
        class_index=int(labels[best]),
        score=float(scores[best]),
        heat_map=heat_map,
        boxes=np.concatenate(boxes)[order],
        box_scores=np.concatenate(box_scores)[order],
        box_labels=np.concatenate(box_labels)[order],
    )


def rethreshold(
    found: Localization, threshold: float, instances: Instances, is_multi_label: bool = False
) -> Localization:
    """Return the result of one class with the boxes of another threshold, in [0, 1).

    >>> found = Localization("a.jpg", (50, 10), "cat", 0, 0.5, np.array([[0.2, 0.9, 0, 1]]))
    >>> rethreshold(found, 0.5, "multiple").boxes.tolist()
    [[37.5, 0.0, 50.0, 10.0], [12.5, 0.0, 25.0, 10.0]]
    """
    if not found.heat_map.any():
        return found
    height, width = found.heat_map.shape
    boxes, peaks = threshold_map(found.heat_map, threshold, instances)
    sure = found.score if is_multi_label else box_confidence(found.heat_map, threshold)
    return replace(
        found,
        boxes=scale_boxes(boxes, (width, height), found.original_size),
        box_scores=sure * peaks,
        box_labels=np.full(len(boxes), found.class_index),
    )
