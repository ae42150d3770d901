"""How often the label and the box are right: pure functions, and a class that counts."""

from wsol.metrics.functional import IOU_LEVELS, best_threshold, default_thresholds
from wsol.metrics.localization import LocalizationAccuracy

__all__ = ["IOU_LEVELS", "LocalizationAccuracy", "best_threshold", "default_thresholds"]
