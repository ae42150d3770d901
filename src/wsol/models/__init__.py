"""Classifiers with named layers."""

from typing import TYPE_CHECKING

from wsol._lazy import lazy_names

if TYPE_CHECKING:
    from wsol.methods.network import create_network
    from wsol.models.create import list_backbones
    from wsol.models.heads import ConvHead, Head, LinearHead, Output
    from wsol.models.network import Network
    from wsol.models.utils import find_layer

__all__ = [
    "ConvHead",
    "Head",
    "LinearHead",
    "Network",
    "Output",
    "create_network",
    "find_layer",
    "list_backbones",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "ConvHead": "wsol.models.heads",
        "Head": "wsol.models.heads",
        "LinearHead": "wsol.models.heads",
        "Network": "wsol.models.network",
        "Output": "wsol.models.heads",
        "create_network": "wsol.methods.network",
        "find_layer": "wsol.models.utils",
        "list_backbones": "wsol.models.create",
    },
)
