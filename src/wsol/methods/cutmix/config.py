"""Options of CutMix."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from wsol.errors import ConfigError
from wsol.methods.base import MethodConfig

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
    beta: float = 1.0
    prob: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what is no distribution, and a share outside [0, 1]."""
        if not 0 < self.beta < math.inf:
            raise ConfigError(f"method.beta is {self.beta}: give a number above 0")
        if not 0 <= self.prob <= 1:
            raise ConfigError(f"method.prob is {self.prob}: give a number from 0 to 1")

    def create(self) -> CutMixMethod:
        """Return the method with these options."""
        from wsol.methods.cutmix.method import CutMixMethod

        return CutMixMethod(self)
