"""Options of Self-produced Guidance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from wsol.errors import ConfigError
from wsol.methods.base import MethodConfig

if TYPE_CHECKING:
    from wsol.methods.spg.method import SPGMethod


@dataclass(frozen=True)
class Config(MethodConfig):
    """Self-produced Guidance: confident pixels of one map supervise the layers before it.

    Each pair of thresholds cuts a map in [0, 1] into object (above the high one), background
    (below the low one), and pixels that do not count.

    Args:
        name: of the method.
        taps: names of two modules of the network, the earlier first, whose outputs the guided
            branches B1 and B2 see. Empty: chosen for the network, the choice is logged.
        channels: of the guided branches; 0 is 1024 for wsolevaluation/resnet50, else 512.
        high1: above it the class's map is object, for branch B2.
        low1: below it the class's map is background, for branch B2.
        high2: above it the map of branch B2 is object, for branch B1.
        low2: below it the map of branch B2 is background, for branch B1.
        high3: above it the mean map of B1 and B2 is object, for branch C.
        low3: below it the mean map of B1 and B2 is background, for branch C.

    Source: Zhang et al., ECCV 2018, section 3.2; defaults of the re-evaluation's code.
    """

    name: Literal["spg"] = "spg"
    taps: tuple[str, ...] = ()
    channels: int = 0
    high1: float = 0.7
    low1: float = 0.01
    high2: float = 0.5
    low2: float = 0.05
    high3: float = 0.7
    low3: float = 0.1

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        if len(self.taps) not in (0, 2):
            raise ConfigError(f"method.taps has {len(self.taps)} names: give two, or none")
        if self.channels < 0:
            raise ConfigError(f"method.channels is {self.channels}: it must be at least 0")
        for number, (high, low) in enumerate(self.thresholds, 1):
            if not 0 <= low <= high <= 1:
                raise ConfigError(
                    f"method.low{number} is {low} and method.high{number} {high}: give numbers "
                    "from 0 to 1, the low one not above the high one"
                )

    @property
    def thresholds(self) -> tuple[tuple[float, float], ...]:
        """Return the pairs of high and low for branches B2, B1 and C.

        >>> Config().thresholds
        ((0.7, 0.01), (0.5, 0.05), (0.7, 0.1))
        """
        return (self.high1, self.low1), (self.high2, self.low2), (self.high3, self.low3)

    def create(self) -> SPGMethod:
        """Return the method with these options."""
        from wsol.methods.spg.method import SPGMethod

        return SPGMethod(self)
