"""Self-produced Guidance (Zhang et al., ECCV 2018).

Source: Zhang et al., Self-produced Guidance for Weakly-supervised Object Localization, ECCV 2018,
section 3, as the re-evaluation of Choe et al. (CVPR 2020) implements it.

Known deviations: on timm networks the guided branches read the third and second to last stage, with
new layers initialized by Xavier's rule. The re-evaluation's networks add layers to VGG16 and
InceptionV3; those are ``wsolevaluation/...`` with this method. Masks without object or background
pixels add nothing to the loss, where the published code gives NaN. In evaluation the guided
branches do not run.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from wsol.methods.base import MethodConfig
from wsol.options import Fraction, Name, Range, refusal


@dataclass(frozen=True)
class Config(MethodConfig):
    """Self-produced Guidance: confident pixels of one map supervise earlier layers.

    Each pair of thresholds divides a map in [0, 1] into object (above the high one), background
    (below the low one), and ignored pixels.

    Args:
        name: method name.
        layers: two modules, the earlier first, whose outputs the guided branches B1 and B2 read.
            Default: chosen for the network and logged.
        channels: channels of the guided branches; 0 selects 1024 for wsolevaluation/resnet50 and
            512 for all others.
        high1: threshold above which the class map is object, for branch B2.
        low1: threshold below which the class map is background, for branch B2.
        high2: threshold above which the map of branch B2 is object, for branch B1.
        low2: threshold below which the map of branch B2 is background, for branch B1.
        high3: threshold above which the mean map of B1 and B2 is object, for branch C.
        low3: threshold below which the mean map of B1 and B2 is background, for branch C.

    Source: Zhang et al., ECCV 2018, section 3.2; defaults of the re-evaluation's code.
    """

    method_class: ClassVar[str] = "wsol.methods.spg.method.SPGMethod"
    name: Literal["spg"] = "spg"
    layers: tuple[Name, ...] = ()
    channels: Annotated[int, Range(at_least=0, at_most=65_536)] = 0
    high1: Fraction = 0.7
    low1: Fraction = 0.01
    high2: Fraction = 0.5
    low2: Fraction = 0.05
    high3: Fraction = 0.7
    low3: Fraction = 0.1

    def __post_init__(self) -> None:
        """Reject invalid options."""
        super().__post_init__()
        if len(self.layers) not in (0, 2):
            raise refusal("method.layers", self.layers, "use two names, or none")
        for number, (high, low) in enumerate(self.thresholds, 1):
            if low > high:
                raise refusal(
                    f"method.low{number}", low, f"use a number <= method.high{number} ({high})"
                )

    @property
    def thresholds(self) -> tuple[tuple[float, float], ...]:
        """Return the pairs of high and low for branches B2, B1 and C.

        >>> Config().thresholds
        ((0.7, 0.01), (0.5, 0.05), (0.7, 0.1))
        """
        return (self.high1, self.low1), (self.high2, self.low2), (self.high3, self.low3)
