"""Score maps against true boxes."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from wsol.data.annotations import BoxAnnotations
from wsol.evaluation.score_map_metrics import Curve, Figures, Judged
from wsol.maps import IouCurves, iou_curves, scale_boxes
from wsol.metrics import (
    IOU_LEVELS,
    LocalizationAccuracy,
    LocalizationRecall,
    MeanIoU,
    default_thresholds,
    object_share,
)

NOT_OF_MAPS = ("top1_cls", "top5_cls", "top1_loc", "top5_loc")
"""Figures that need a predicted class."""


class BoxCounts(NamedTuple):
    """What one map adds to the figures.

    Attributes:
        curves: IoU of its boxes at the thresholds.
        share: of the picture that its largest true box covers.
    """

    curves: IouCurves
    share: float


class BoxMeasure:
    """MaxBoxAcc, MaxBoxAccV2, right boxes, mean IoU and recall of maps with true boxes.

    Args:
        annotations: the true boxes.
    """

    score_name = "best_iou"
    kind = "box"

    def __init__(self, annotations: BoxAnnotations) -> None:
        """Start without maps."""
        self.annotations = annotations
        self.classes = sorted({name for name in annotations.classes if name is not None})
        self.thresholds = default_thresholds()
        self._accuracy = LocalizationAccuracy()
        self._mean_iou = MeanIoU()
        # One more for images whose class is not known.
        self._recall = LocalizationRecall(len(self.classes) + 1)
        self._labels = {name: label for label, name in enumerate(self.classes)}

    def judge(self, index: int, score_map: NDArray[np.floating] | None) -> Judged[BoxCounts]:
        """Return the best IoU of the largest contour's box, and what is to be counted."""
        boxes, size = self.annotations.boxes[index], self.annotations.size(index)
        share = object_share(boxes, size)
        if score_map is None:
            nothing = np.zeros(len(self.thresholds))
            return Judged(0.0, None, BoxCounts(IouCurves(nothing, nothing), share))
        height, width = score_map.shape
        truth = scale_boxes(boxes, size, (width, height)).astype(np.int64)
        curves = iou_curves(score_map, truth, self.thresholds)
        best = int(curves.largest.argmax())
        score = 100 * float(curves.largest[best])
        threshold = float(self.thresholds[best]) if score else None
        return Judged(score, threshold, BoxCounts(curves, share))

    def count(self, index: int, judged: Judged[BoxCounts]) -> None:
        """Add a map to the figures."""
        curves, share = judged.counts
        name = self.annotations.classes[index]
        label = len(self.classes) if name is None else self._labels[name]
        self._accuracy.update(None, curves)
        self._mean_iou.update(curves)
        self._recall.update(curves, label, share)

    def figures(self, threshold: float | None) -> Figures:
        """Return accuracies in percent; those of a threshold if one is given."""
        figures = self._accuracy.at(0.0 if threshold is None else threshold)
        for name in NOT_OF_MAPS:
            del figures[name]
        # It is GT-known where maps are of the true class, which they do not say.
        right = figures.pop("gt_known")
        if threshold is None:
            del figures["threshold"]
            return figures
        figures["box_acc_50"] = right
        figures["mean_iou"] = self._mean_iou.at(threshold)
        by_size = self._recall.at(threshold).by_size
        return figures | {f"recall_{size}": recall for size, recall in by_size.items()}

    def by_class(self, threshold: float) -> dict[str, float | None]:
        """Return which share of each class's images is found at a threshold, in percent."""
        by_class = self._recall.at(threshold).by_class
        return {name: by_class[label] for label, name in enumerate(self.classes)}

    def best_threshold(self) -> float | None:
        """Return the threshold with the most right boxes at IoU 50."""
        return self._accuracy.best_threshold()

    def curve(self) -> Curve:
        """Return the accuracy at each threshold, of the largest contour and of all (``v2``)."""
        columns = {"threshold": self.thresholds}
        states = {"max_box_acc": self._accuracy.largest, "max_box_acc_v2": self._accuracy.all}
        for name, state in states.items():
            shares = 100 * state.numpy() / max(int(self._accuracy.num_boxed), 1)
            columns |= {f"{name}_{level}": shares[:, i] for i, level in enumerate(IOU_LEVELS)}
        return columns
