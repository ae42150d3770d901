"""Classifiers with named taps."""

from typing import TYPE_CHECKING

from wsol._lazy import lazy_names

if TYPE_CHECKING:
    from wsol.models.create import create_network, list_backbones
    from wsol.models.network import LinearHead, Network, Output
    from wsol.models.taps import find_tap

__all__ = ["LinearHead", "Network", "Output", "create_network", "find_tap", "list_backbones"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "LinearHead": "wsol.models.network",
        "Network": "wsol.models.network",
        "Output": "wsol.models.network",
        "create_network": "wsol.models.create",
        "find_tap": "wsol.models.taps",
        "list_backbones": "wsol.models.create",
    },
)
