"""Options of the Attention-based Dropout Layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from wsol.errors import ConfigError
from wsol.methods.base import MethodConfig

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
    taps: tuple[str, ...] = ()
    drop_rate: float = 0.75
    threshold: float = 0.9

    def __post_init__(self) -> None:
        """Refuse shares outside [0, 1]."""
        for option in ("drop_rate", "threshold"):
            if not 0 <= getattr(self, option) <= 1:
                raise ConfigError(
                    f"method.{option} is {getattr(self, option)}: give a number from 0 to 1"
                )

    def create(self) -> ADLMethod:
        """Return the method with these options."""
        from wsol.methods.adl.method import ADLMethod

        return ADLMethod(self)
