"""Options of TriLite."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from wsol.methods.base import MethodConfig
from wsol.options import Name, NonNegativeFloat
from wsol.types import FOREGROUND

if TYPE_CHECKING:
    from wsol.methods.trilite.method import TriLiteMethod


@dataclass(frozen=True)
class Config(MethodConfig):
    """TriLite: a map of foreground, background and ambiguous places on frozen features.

    Args:
        name: of the method.
        taps: names of modules of the network whose outputs the maps are made of, beside the last
            features. Empty: the last stage but one.
        background_weight: of the loss that keeps the class out of the background.

    Source: Sabaghi & Oramas, CVPR 2026 (arXiv 2602.23120).
    """

    localizer: ClassVar[str] = FOREGROUND

    name: Literal["trilite"] = "trilite"
    taps: tuple[Name, ...] = ()
    background_weight: NonNegativeFloat = 5.0

    def create(self) -> TriLiteMethod:
        """Return the method with these options."""
        from wsol.methods.trilite.method import TriLiteMethod

        return TriLiteMethod(self)
