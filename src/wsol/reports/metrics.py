"""Titles of all metrics."""

import re
from typing import Literal, NamedTuple


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
    """Return the display of a metric by its key in ``metrics.json``, also of unlisted ones.

    >>> metric_of("gt_known_at_0.20").title, metric_of("box_ap50").title
    ('GT-known Loc at threshold 0.20', 'AP50 of boxes')
    """
    if key in METRICS:
        return METRICS[key]
    if at := _AT.fullmatch(key):
        return Figure(f"{metric_of(at[1]).title} at threshold {at[2]}")
    return Figure(key.replace("_", " "), "count" if key.startswith("num_") else "percent")
