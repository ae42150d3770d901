"""Attention-based Dropout Layer (Choe & Shim, CVPR 2019).

Source: Choe & Shim, Attention-based Dropout Layer for Weakly Supervised Object Localization,
CVPR 2019, section 3, and the authors' code. No known deviation: as in the code, one random draw
applies to the whole batch, the importance map is the sigmoid of the raw attention, nothing is
rescaled, and the drop mask carries no gradient.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from wsol._lazy import lazy_names
from wsol.methods.base import MethodConfig
from wsol.options import Fraction, Name

if TYPE_CHECKING:
    from wsol.methods.adl.layer import ADL
    from wsol.methods.adl.method import attach_adl


@dataclass(frozen=True)
class Config(MethodConfig):
    """Attention-based Dropout Layer: hides the most discriminative region, or highlights it.

    Args:
        name: method name.
        layers: modules whose outputs the layer modifies; the outputs should be rectified features.
            Default: chosen for the network and logged.
        drop_rate: probability of the drop mask; otherwise the importance map is applied.
        threshold: fraction of the maximum attention above which a pixel is dropped (gamma).

    Source: Choe & Shim, CVPR 2019, section 3; values of section 4.1.
    """

    method_class: ClassVar[str] = "wsol.methods.adl.method.ADLMethod"
    name: Literal["adl"] = "adl"
    layers: tuple[Name, ...] = ()
    drop_rate: Fraction = 0.75
    threshold: Fraction = 0.9


__all__ = ["ADL", "Config", "attach_adl"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "ADL": "wsol.methods.adl.layer",
        "attach_adl": "wsol.methods.adl.method",
    },
)
