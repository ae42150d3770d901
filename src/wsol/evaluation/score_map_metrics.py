"""Evaluators of score map files, against boxes and against masks."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from wsol.data.annotations import BoxAnnotations, MaskAnnotations
from wsol.data.annotations.masks import read_mask
from wsol.evaluation.protocols import RunMetrics
from wsol.maps import IouCurves, iou_curves, scale_boxes, score_histograms
from wsol.metrics import (
    IOU_LEVELS,
    LocalizationAccuracy,
    LocalizationRecall,
    MeanIoU,
    default_thresholds,
    object_share,
    pxap,
)

Curve = dict[str, NDArray[np.float64]]


class MapScore(NamedTuple):
    """Score of one map.

    Attributes:
        score: score in percent, 0 for a missing map; None if the ground truth has no object.
        threshold: threshold of the score, or None if it has none.
        counts: contribution to the metrics of all images, for the evaluator's ``count``.
    """

    score: float | None
    threshold: float | None
    counts: Any


NOT_OF_MAPS = ("top1_cls", "top5_cls", "top1_loc", "top5_loc")
"""Metrics that need a predicted class."""


class BoxEvaluator:
    """MaxBoxAcc, MaxBoxAccV2, correct boxes, mean IoU and recall of maps with boxes.

    Maps ``(H, W)`` in [0, 1] are scored one by one, in any thread, and counted in one thread; None
    gets the lowest score. ``score_name`` is the column name of a map's score, and ``kind`` the kind
    of ground truth in words.
    """

    score_name = "best_iou"
    kind = "box"

    def __init__(self, annotations: BoxAnnotations) -> None:
        """Initialize without maps."""
        self.annotations = annotations
        self.classes = sorted({name for name in annotations.classes if name is not None})
        self.thresholds = default_thresholds()
        self._accuracy = LocalizationAccuracy()
        self._mean_iou = MeanIoU()
        # One more for images with unknown class.
        self._recall = LocalizationRecall(len(self.classes) + 1)
        self._labels = {name: label for label, name in enumerate(self.classes)}

    def score(self, index: int, score_map: NDArray[np.floating] | None) -> MapScore:
        """Return the best IoU of the largest contour's box, and the counts."""
        boxes, size = self.annotations.boxes[index], self.annotations.size(index)
        share = object_share(boxes, size)
        if score_map is None:
            nothing = np.zeros(len(self.thresholds))
            return MapScore(0.0, None, (IouCurves(nothing, nothing), share))
        height, width = score_map.shape
        ground_truth = scale_boxes(boxes, size, (width, height)).astype(np.int64)
        curves = iou_curves(score_map, ground_truth, self.thresholds)
        best = int(curves.largest.argmax())
        score = 100 * float(curves.largest[best])
        threshold = float(self.thresholds[best]) if score else None
        return MapScore(score, threshold, (curves, share))

    def count(self, index: int, scored: MapScore) -> None:
        """Add a map to the metrics."""
        curves, share = scored.counts
        name = self.annotations.classes[index]
        label = len(self.classes) if name is None else self._labels[name]
        self._accuracy.update(None, curves)
        self._mean_iou.update(curves)
        self._recall.update(curves, label, share)

    def figures(self, threshold: float | None) -> RunMetrics:
        """Return accuracies in percent, and those at a threshold if one is given."""
        figures = self._accuracy.at(0.0 if threshold is None else threshold)
        for name in NOT_OF_MAPS:
            del figures[name]
        # It is GT-known only if maps are of the ground-truth class, which is unknown.
        right = figures.pop("gt_known")
        if threshold is None:
            del figures["threshold"]
            return figures
        figures["box_acc_50"] = right
        figures["mean_iou"] = self._mean_iou.at(threshold)
        by_size = self._recall.at(threshold).by_size
        return figures | {f"recall_{size}": recall for size, recall in by_size.items()}

    def by_class(self, threshold: float) -> dict[str, float | None]:
        """Return the fraction of each class's images found at a threshold, in percent."""
        by_class = self._recall.at(threshold).by_class
        return {name: by_class[label] for label, name in enumerate(self.classes)}

    def best_threshold(self) -> float | None:
        """Return the threshold with the most correct boxes at IoU 50."""
        return self._accuracy.best_threshold()

    def curve(self) -> Curve:
        """Return the accuracy at each threshold, of the largest contour and of all (``v2``)."""
        columns = {"threshold": self.thresholds}
        states = {"max_box_acc": self._accuracy.largest, "max_box_acc_v2": self._accuracy.all}
        for name, state in states.items():
            shares = 100 * state.numpy() / max(int(self._accuracy.num_boxed), 1)
            columns |= {f"{name}_{level}": shares[:, i] for i, level in enumerate(IOU_LEVELS)}
        return columns


class MaskEvaluator:
    """PxAP of maps with ground-truth masks, see ``BoxEvaluator``.

    Missing maps have the height and width in ``shape``; None uses the mask's.
    """

    score_name = "pxap"
    kind = "mask"

    def __init__(
        self,
        annotations: MaskAnnotations,
        shape: tuple[int, int] | None,
        ignore_value: int | None,
        max_pixels: int,
    ) -> None:
        """Initialize without maps."""
        self.annotations, self.shape = annotations, shape
        self.ignore_value, self.max_pixels = ignore_value, max_pixels
        self.thresholds = default_thresholds()
        self.num_images = 0
        self._histograms = np.zeros((2, len(self.thresholds) + 2), np.int64)

    def score(self, index: int, score_map: NDArray[np.floating] | None) -> MapScore:
        """Return the image's PxAP, and the histograms of its scores."""
        shape = self.shape if score_map is None else score_map.shape
        mask = read_mask(
            self.annotations.masks[index],
            None if shape is None else (shape[1], shape[0]),
            self.ignore_value,
            self.max_pixels,
        )
        scores = np.zeros(mask.shape, np.float32) if score_map is None else score_map
        histograms = score_histograms(scores, mask, self.thresholds)
        return MapScore(pxap(histograms), None, histograms)

    def count(self, index: int, scored: MapScore) -> None:
        """Add a map to the metrics."""
        self.num_images += 1
        self._histograms += scored.counts

    def figures(self, threshold: float | None) -> RunMetrics:
        """Return PxAP in percent, which does not depend on a threshold."""
        return {
            "pxap": pxap(self._histograms),
            "num_images": self.num_images,
            "num_with_ground_truth": self.num_images,
        }

    def by_class(self, threshold: float) -> dict[str, float | None]:
        """Return an empty result: the pixels of all classes are counted together."""
        return {}

    def best_threshold(self) -> float | None:
        """Return None: PxAP covers all thresholds."""
        return None

    def curve(self) -> Curve:
        """Return precision and recall of the pixels that score at least each threshold."""
        false, true = self._histograms[:, ::-1].cumsum(1)[:, ::-1][:, : len(self.thresholds)]
        total = max(int(self._histograms[1].sum()), 1)
        return {
            "threshold": self.thresholds,
            "precision": 100 * true / np.maximum(true + false, 1),
            "recall": 100 * true / total,
        }
