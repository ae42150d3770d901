"""Localization metrics: pure functions, and torchmetrics classes that accumulate counts."""

from typing import TYPE_CHECKING

from wsol._lazy import lazy_names
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

if TYPE_CHECKING:
    from wsol.metrics.average_precision import (
        OBJECT_SIZE_EDGES,
        OBJECT_SIZES,
        LocalizationRecall,
        Recall,
        object_share,
        object_size,
    )
    from wsol.metrics.localization import (
        LocalizationAccuracy,
        MaxBoxAcc,
        MaxBoxAccV2,
        MeanIoU,
        PxAP,
    )

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

# Functions need no torch; the classes are imported on first use.
_RECALL = ("OBJECT_SIZES", "OBJECT_SIZE_EDGES", "LocalizationRecall", "Recall")
_CLASSES = ("LocalizationAccuracy", "MaxBoxAcc", "MaxBoxAccV2", "MeanIoU", "PxAP")
__getattr__, __dir__ = lazy_names(
    __name__,
    dict.fromkeys((*_RECALL, "object_share", "object_size"), "wsol.metrics.average_precision")
    | dict.fromkeys(_CLASSES, "wsol.metrics.localization"),
)
