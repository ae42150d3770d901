"""Options of C2AM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from wsol.methods.base import MethodConfig
from wsol.options import Name, NonNegativeFloat
from wsol.types import FOREGROUND

if TYPE_CHECKING:
    from wsol.methods.c2am.method import C2AMMethod


@dataclass(frozen=True)
class Config(MethodConfig):
    """C2AM: a class-agnostic map whose two sides have features as different as can be.

    Args:
        name: of the method.
        taps: names of modules of the network whose outputs the map is made of, beside the last
            features. Empty: the last stage but one.
        alpha: how fast the weight of a pair of images falls with the rank of its similarity.

    Source: Xie et al., CVPR 2022, section 3; alpha as in the paper.
    """

    localizer: ClassVar[str] = FOREGROUND

    name: Literal["c2am"] = "c2am"
    taps: tuple[Name, ...] = ()
    alpha: NonNegativeFloat = 0.25

    def create(self) -> C2AMMethod:
        """Return the method with these options."""
        from wsol.methods.c2am.method import C2AMMethod

        return C2AMMethod(self)
