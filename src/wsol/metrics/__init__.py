"""Localization metrics: pure functions, and torchmetrics classes that accumulate counts."""

from wsol.metrics.average_precision import (
    OBJECT_SIZE_EDGES,
    OBJECT_SIZES,
    LocalizationRecall,
    Recall,
    object_share,
    object_size,
)
from wsol.metrics.functional import (
    IOU_LEVELS,
    best_threshold,
    default_thresholds,
    gt_known,
    localization_recall,
    max_box_acc,
    max_box_acc_v2,
    mean_iou,
    pxap,
    top_k_loc,
)
from wsol.metrics.localization import LocalizationAccuracy, MaxBoxAcc, MaxBoxAccV2, MeanIoU, PxAP

__all__ = [
    "IOU_LEVELS",
    "OBJECT_SIZES",
    "OBJECT_SIZE_EDGES",
    "LocalizationAccuracy",
    "LocalizationRecall",
    "MaxBoxAcc",
    "MaxBoxAccV2",
    "MeanIoU",
    "PxAP",
    "Recall",
    "best_threshold",
    "default_thresholds",
    "gt_known",
    "localization_recall",
    "max_box_acc",
    "max_box_acc_v2",
    "mean_iou",
    "object_share",
    "object_size",
    "pxap",
    "top_k_loc",
]
