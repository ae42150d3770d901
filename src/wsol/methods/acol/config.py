"""Options of Adversarial Complementary Learning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from wsol.errors import ConfigError
from wsol.methods.base import MethodConfig

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
    threshold: float = 0.7
    channels: int = 1024

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        if not 0 <= self.threshold <= 1:
            raise ConfigError(f"method.threshold is {self.threshold}: give a number from 0 to 1")
        if self.channels < 1:
            raise ConfigError(f"method.channels is {self.channels}: it must be at least 1")

    def create(self) -> ACoLMethod:
        """Return the method with these options."""
        from wsol.methods.acol.method import ACoLMethod

        return ACoLMethod(self)
