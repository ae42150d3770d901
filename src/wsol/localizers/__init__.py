"""Localizers: compute score maps from a trained classifier."""

from wsol.localizers._layers import choose_layers
from wsol.localizers.base import Localized, ScoreMaps, locate_all
from wsol.localizers.registry import create_localizer, list_localizers

__all__ = [
    "Localized",
    "ScoreMaps",
    "choose_layers",
    "create_localizer",
    "list_localizers",
    "locate_all",
]
