"""Options of Adversarial Complementary Learning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from wsol.methods.base import MethodConfig
from wsol.options import Fraction, Range

if TYPE_CHECKING:
    from wsol.methods.acol.method import ACoLMethod


@dataclass(frozen=True)
class Config(MethodConfig):
    """Adversarial Complementary Learning: a second classifier on what the first did not look at.

    Args:
        name: of the method.
        threshold: share of the first branch's map, scaled to [0, 1], from which on a pixel is
            erased for the second branch (delta).
        channels: of the two hidden layers of each branch.

    Source: Zhang et al., CVPR 2018, section 3.2; defaults of the re-evaluation's code.
    """

    name: Literal["acol"] = "acol"
    threshold: Fraction = 0.7
    channels: Annotated[int, Range(at_least=1, at_most=65_536)] = 1024

    def create(self) -> ACoLMethod:
        """Return the method with these options."""
        from wsol.methods.acol.method import ACoLMethod

        return ACoLMethod(self)
