"""Options of the Attention-based Dropout Layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from wsol.methods.base import MethodConfig
from wsol.options import Fraction, Name

if TYPE_CHECKING:
    from wsol.methods.adl.method import ADLMethod


@dataclass(frozen=True)
class Config(MethodConfig):
    """Attention-based Dropout Layer: hides the most discriminative region, or highlights it.

    Args:
        name: of the method.
        taps: names of the network's modules whose output the layer changes; they want rectified
            features. Empty: chosen for the network, the choice is logged.
        drop_rate: probability of the drop mask; otherwise the importance map is applied.
        threshold: share of the strongest attention above which a pixel is dropped (gamma).

    Source: Choe & Shim, CVPR 2019, section 3; values of section 4.1.
    """

    name: Literal["adl"] = "adl"
    taps: tuple[Name, ...] = ()
    drop_rate: Fraction = 0.75
    threshold: Fraction = 0.9

    def create(self) -> ADLMethod:
        """Return the method with these options."""
        from wsol.methods.adl.method import ADLMethod

        return ADLMethod(self)
