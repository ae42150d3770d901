"""What a report needs of an image, and metrics counted over all images."""

from collections import Counter
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from wsol.maps import iou_curves, scale_boxes
from wsol.metrics.functional import IOU_LEVELS, box_hits, percent
from wsol.reports.page_data import GroundTruth, small_map
from wsol.results.localization import Localization, PredictionInfo

THRESHOLDS = np.arange(100) / 100

BINS = 20
"""Number of bins of the histogram of scores in [0, 1]."""


class Summary(NamedTuple):
    """Localization without its heat map, and what the report shows of the map.

    Attributes:
        result: localization without heat map.
        ground_truth: ground truth of the image, or None.
        small_map: downscaled map, uint8 ``(h, w)``; None without a map.
        hits: whether the box is correct at each threshold and IoU level, bool ``(T, L)``; None if
            it is wrong at all of them, or without ground-truth boxes.
        is_shown: whether the image is on the page; others are only counted.
    """

    result: Localization
    ground_truth: GroundTruth | None = None
    small_map: NDArray[np.uint8] | None = None
    hits: NDArray[np.bool_] | None = None
    is_shown: bool = True


def report_thresholds(threshold: float) -> NDArray[np.float64]:
    """Return the thresholds of the report's curve, and last the prediction's, ``(T,)``."""
    return np.append(THRESHOLDS, threshold)


def summarize(
    result: Localization,
    ground_truth: GroundTruth | None,
    thresholds: NDArray[np.float64],
    is_shown: bool = True,
) -> Summary:
    """Return what a report needs of an image; can be called in any thread.

    Boxes are evaluated as in the protocol ``wsoleval``: the box of the largest contour, in the size
    of the heat map, against any of the ground-truth boxes. Images without heat map count as wrong.

    Args:
        result: localization of the image.
        ground_truth: ground truth of the image, or None.
        thresholds: thresholds at which boxes are evaluated, see ``report_thresholds``.
        is_shown: whether the image is on the page.
    """
    heat_map, hits = result.heat_map, None
    has_map = heat_map.size > 0
    if ground_truth is not None and len(ground_truth.boxes) and has_map and result.status == "ok":
        size = (heat_map.shape[1], heat_map.shape[0])
        boxes = scale_boxes(ground_truth.boxes, result.original_size, size).astype(np.int64)
        hits = box_hits(iou_curves(heat_map, boxes, thresholds).largest)
    return Summary(
        replace(result, heat_map=np.zeros((0, 0), np.float32)),
        ground_truth,
        small_map(heat_map) if is_shown and has_map else None,
        hits,
        is_shown,
    )


class ReportMetrics:
    """Counts images, and images with correct class and box.

    Args:
        info: information on the prediction, with classes and threshold.

    >>> from pathlib import Path
    >>> metrics = ReportMetrics(PredictionInfo(("cat",), Path(), threshold=0.2))
    >>> score_map = np.zeros((8, 8), np.float32)
    >>> score_map[2:5, 2:5] = 1
    >>> boxes = np.array([[2.0, 2, 5, 5]])
    >>> found = Localization("a.jpg", (8, 8), "cat", 0, 0.9, score_map, boxes)
    >>> ground_truth = GroundTruth(boxes, ("cat",), ("cat",))
    >>> metrics.add(summarize(found, ground_truth, metrics.thresholds))
    >>> metrics.metrics()["box_acc_50"]
    100.0
    """

    def __init__(self, info: PredictionInfo) -> None:
        """Initialize all counts to zero."""
        self.classes = frozenset(info.classes)
        self.thresholds = report_thresholds(info.threshold)
        self.statuses: Counter[str] = Counter()
        self.scores = np.zeros(BINS, np.int64)
        self.hits = np.zeros((len(self.thresholds), len(IOU_LEVELS)), np.int64)
        self.both = self.boxed = self.named = self.right = 0

    def add(self, summary: Summary) -> None:
        """Count an image."""
        result, ground_truth = summary.result, summary.ground_truth
        self.statuses[result.status] += 1
        if result.error is None:
            self.scores[min(int(result.score * BINS), BINS - 1)] += 1
        if ground_truth is None:
            return
        class_right = result.label in ground_truth.classes
        if not self.classes.isdisjoint(ground_truth.classes):
            self.named += 1
            self.right += class_right
        self.boxed += len(ground_truth.boxes) > 0
        if summary.hits is not None:
            self.hits += summary.hits
            self.both += bool(summary.hits[-1, IOU_LEVELS.index(50)]) and class_right

    def metrics(self) -> dict[str, float]:
        """Return the metrics in percent, without those that lack ground truth.

        They differ from ``wsol evaluate``, which uses maps of the ground-truth class; here, maps
        are those of the predicted class.
        """
        at_50 = self.hits[:, IOU_LEVELS.index(50)]
        has_both = self.boxed if self.named else 0
        found = {
            "class_acc": percent(self.right, self.named),
            "box_acc_50": percent(int(at_50[-1]), self.boxed),
            "class_box_acc_50": percent(self.both, has_both),
            "best_box_acc_50": percent(int(at_50.max()), self.boxed),
        }
        return {name: value for name, value in found.items() if value is not None}

    def curves(self) -> dict[str, Any] | None:
        """Return accuracy in percent by threshold and IoU; None without ground-truth boxes."""
        if not self.boxed:
            return None
        shares = (self.hits[:-1] / self.boxed * 100).round(2)
        lines = zip(IOU_LEVELS, shares.T.tolist(), strict=True)
        return {
            "thresholds": THRESHOLDS.tolist(),
            "lines": [{"iou": level, "values": values} for level, values in lines],
        }
