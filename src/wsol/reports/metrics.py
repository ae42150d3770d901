"""Metrics of a report, accumulated image by image, and titles of all metrics."""

import re
from collections import Counter
from typing import Any, Literal, NamedTuple

import numpy as np

from wsol.maps import iou_curves, scale_boxes
from wsol.reports.page_data import GroundTruth
from wsol.results.localization import Localization, PredictionInfo

IOU_LEVELS = (30, 50, 70)
"""IoU thresholds in percent at which a box is correct."""

THRESHOLDS = np.arange(100) / 100

BINS = 20
"""Number of bins of the histogram of scores in [0, 1]."""


class RunMetrics:
    """Counts images, and images with correct class and box.

    Boxes are evaluated as in the protocol ``wsoleval``: the box of the largest contour, in the size
    of the heat map, against any of the ground-truth boxes. Images without heat map count as wrong.

    Args:
        info: information on the prediction, with classes and threshold.

    >>> from pathlib import Path
    >>> figures = RunMetrics(PredictionInfo(("cat",), Path(), threshold=0.2))
    >>> score_map = np.zeros((8, 8), np.float32)
    >>> score_map[2:5, 2:5] = 1
    >>> boxes = np.array([[2.0, 2, 5, 5]])
    >>> found = Localization("a.jpg", (8, 8), "cat", 0, 0.9, score_map, boxes)
    >>> figures.add(found, GroundTruth(boxes, ("cat",), ("cat",)))
    >>> figures.metrics()["box_acc_50"]
    100.0
    """

    def __init__(self, info: PredictionInfo) -> None:
        """Initialize all counts to zero."""
        self.classes = frozenset(info.classes)
        # The last threshold is that of the prediction, which may not be on the grid.
        self.thresholds = np.append(THRESHOLDS, info.threshold)
        self.statuses: Counter[str] = Counter()
        self.scores = np.zeros(BINS, np.int64)
        self.hits = np.zeros((len(IOU_LEVELS), len(self.thresholds)), np.int64)
        self.both = self.boxed = self.named = self.right = 0

    def add(self, result: Localization, ground_truth: GroundTruth | None) -> None:
        """Count an image."""
        self.statuses[result.status] += 1
        if result.error is None:
            self.scores[min(int(result.score * BINS), BINS - 1)] += 1
        if ground_truth is None:
            return
        class_right = result.label in ground_truth.classes
        if not self.classes.isdisjoint(ground_truth.classes):
            self.named += 1
            self.right += class_right
        if not len(ground_truth.boxes):
            return
        self.boxed += 1
        if result.status != "ok" or not result.heat_map.size:
            return
        height, width = result.heat_map.shape
        boxes = scale_boxes(ground_truth.boxes, result.original_size, (width, height)).astype(
            np.int64
        )
        curve = iou_curves(result.heat_map, boxes, self.thresholds).largest
        hits = curve >= np.array(IOU_LEVELS)[:, None] / 100
        self.hits += hits
        self.both += bool(hits[1, -1]) and class_right

    def metrics(self) -> dict[str, float]:
        """Return the metrics in percent, without those that lack ground truth.

        They differ from ``wsol evaluate``, which uses maps of the ground-truth class; here, maps
        are those of the predicted class.
        """
        found = {}
        if self.named:
            found["class_acc"] = self.right / self.named * 100
        if self.boxed:
            found["box_acc_50"] = int(self.hits[1, -1]) / self.boxed * 100
            if self.named:
                found["class_box_acc_50"] = self.both / self.boxed * 100
            found["best_box_acc_50"] = int(self.hits[1].max()) / self.boxed * 100
        return found

    def curves(self) -> dict[str, Any] | None:
        """Return accuracy in percent by threshold and IoU; None without ground-truth boxes."""
        if not self.boxed:
            return None
        shares = self.hits[:, :-1] / self.boxed * 100
        lines = zip(IOU_LEVELS, shares.round(2).tolist(), strict=True)
        return {
            "thresholds": THRESHOLDS.tolist(),
            "lines": [{"iou": level, "values": values} for level, values in lines],
        }


class Figure(NamedTuple):
    """Display of a metric.

    Attributes:
        title: title of the metric in tables and reports.
        kind: ``percent``, ``count`` of images, ``fault`` (a count that is only shown if it is not
            0), or ``threshold``.
    """

    title: str
    kind: Literal["percent", "count", "fault", "threshold"] = "percent"


METRICS = {
    # Metrics of a run, from score maps of the ground-truth class.
    "top1_cls": Figure("Top-1 classification"),
    "top5_cls": Figure("Top-5 classification"),
    "max_box_acc_30": Figure("MaxBoxAcc, IoU 30"),
    "max_box_acc_50": Figure("MaxBoxAcc, IoU 50"),
    "max_box_acc_70": Figure("MaxBoxAcc, IoU 70"),
    "max_box_acc_v2": Figure("MaxBoxAccV2"),
    "gt_known": Figure("GT-known Loc"),
    "gt_known_auto": Figure("GT-known Loc, threshold auto"),
    "top1_loc": Figure("Top-1 Loc"),
    "top5_loc": Figure("Top-5 Loc"),
    # Metrics of predicted boxes, or of score maps of other programs.
    "class_acc": Figure("Class right"),
    "box_acc_50": Figure("Box right, IoU 50"),
    "class_box_acc_50": Figure("Class and box right, IoU 50"),
    "best_box_acc_50": Figure("Box right at the best threshold, IoU 50"),
    "threshold": Figure("threshold", "threshold"),
    "box_ap": Figure("AP of boxes"),
    "box_ap50": Figure("AP50 of boxes"),
    "box_ap75": Figure("AP75 of boxes"),
    "pxap": Figure("PxAP"),
    "mean_iou": Figure("mean IoU"),
    "recall_small": Figure("recall, small objects"),
    "recall_medium": Figure("recall, medium objects"),
    "recall_large": Figure("recall, large objects"),
    "num_images": Figure("images", "count"),
    "num_with_ground_truth": Figure("images with ground truth", "count"),
    "num_no_object": Figure("of these: map shows no object", "fault"),
    "num_missing": Figure("of these: no map", "fault"),
    "num_error": Figure("of these: unreadable", "fault"),
    "num_no_ground_truth": Figure("images without ground truth, not counted", "fault"),
}
"""Display of each metric by its key in files, in the order of tables."""

_AT = re.compile(r"(\w+)_at_([\d.]+)")


def metric_of(key: str) -> Figure:
    """Return the display of a metric, including metrics that are not listed.

    Args:
        key: key of the metric in ``metrics.json``.

    >>> metric_of("gt_known_at_0.20").title, metric_of("box_ap50").title
    ('GT-known Loc at threshold 0.20', 'AP50 of boxes')
    """
    if key in METRICS:
        return METRICS[key]
    if at := _AT.fullmatch(key):
        return Figure(f"{metric_of(at[1]).title} at threshold {at[2]}")
    return Figure(key.replace("_", " "), "count" if key.startswith("num_") else "percent")
