"""Score maps as plain arrays: normalise, threshold, contours, boxes. No torch in this room."""

from wsol.maps.boxes import boxes_at, largest_box_at, scale_boxes
from wsol.maps.contours import Contours, contours_at, grey_levels
from wsol.maps.curves import IouCurves, best_iou_curves
from wsol.maps.histograms import score_histograms
from wsol.maps.iou import box_iou
from wsol.maps.normalize import normalize

__all__ = [
    "Contours",
    "IouCurves",
    "best_iou_curves",
    "box_iou",
    "boxes_at",
    "contours_at",
    "grey_levels",
    "largest_box_at",
    "normalize",
    "scale_boxes",
    "score_histograms",
]
