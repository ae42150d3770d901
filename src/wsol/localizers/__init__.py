"""What makes score maps: a localizer looks at a trained network and says where."""

from wsol.localizers.base import Localized, ScoreMaps
from wsol.localizers.registry import create_localizer, list_localizers

__all__ = ["Localized", "ScoreMaps", "create_localizer", "list_localizers"]
