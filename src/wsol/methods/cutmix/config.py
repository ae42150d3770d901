"""Options of CutMix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from wsol.methods.base import MethodConfig
from wsol.options import Fraction, PositiveFloat

if TYPE_CHECKING:
    from wsol.methods.cutmix.method import CutMixMethod


@dataclass(frozen=True)
class Config(MethodConfig):
    """CutMix: a box of each training picture comes from another one, with its share of the label.

    Args:
        name: of the method.
        beta: both parameters of the beta distribution that the share of a picture's own pixels is
            drawn from; 1 is uniform.
        prob: probability of a step to mix.

    Source: Yun et al., ICCV 2019, section 3.1; values of the PyTorch re-evaluation.
    """

    name: Literal["cutmix"] = "cutmix"
    beta: PositiveFloat = 1.0
    prob: Fraction = 1.0

    def create(self) -> CutMixMethod:
        """Return the method with these options."""
        from wsol.methods.cutmix.method import CutMixMethod

        return CutMixMethod(self)
