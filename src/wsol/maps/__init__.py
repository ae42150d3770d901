"""Score maps as NumPy arrays: normalization, thresholds, contours and boxes. Without torch."""

from wsol.maps._opencv import Contours, contours_at
from wsol.maps.boxes import (
    box_iou,
    boxes_at,
    masks_at,
    merge_boxes,
    objects_at,
    scale_boxes,
    scale_mask,
)
from wsol.maps.curves import IouCurves, best_iou_curve, best_iou_curves, iou_curves
from wsol.maps.normalize import grey_levels, normalize, otsu_threshold
from wsol.maps.separability import box_confidence, score_histograms, separability

__all__ = [
    "Contours",
    "IouCurves",
    "best_iou_curve",
    "best_iou_curves",
    "box_confidence",
    "box_iou",
    "boxes_at",
    "contours_at",
    "grey_levels",
    "iou_curves",
    "masks_at",
    "merge_boxes",
    "normalize",
    "objects_at",
    "otsu_threshold",
    "scale_boxes",
    "scale_mask",
    "score_histograms",
    "separability",
]
