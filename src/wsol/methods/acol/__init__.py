"""Adversarial Complementary Learning (Zhang et al., CVPR 2018).

Source: Zhang et al., Adversarial Complementary Learning for Weakly Supervised Object
Localization, CVPR 2018, section 3, as the re-evaluation of Choe et al. (CVPR 2020) implements it.

Known deviations: on timm networks the branches use the last feature maps, with new layers
initialized by Xavier's rule. The re-evaluation's networks also change pooling layers of VGG16;
those are ``wsolevaluation/...`` with this method. In evaluation the second branch runs for score
maps only, since the logits are the first branch's. A constant map erases nothing, where the
published code divides by zero.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from wsol.methods.base import MethodConfig
from wsol.options import Fraction, Range


@dataclass(frozen=True)
class Config(MethodConfig):
    """Adversarial Complementary Learning: a second classifier on regions the first one ignores.

    Args:
        name: method name.
        threshold: fraction of the range of the first branch's map at and above which a pixel is
            erased for the second branch (delta).
        channels: channels of the two hidden layers of each branch.

    Source: Zhang et al., CVPR 2018, section 3.2; defaults of the re-evaluation's code.
    """

    method_class: ClassVar[str] = "wsol.methods.acol.method.ACoLMethod"
    name: Literal["acol"] = "acol"
    threshold: Fraction = 0.7
    channels: Annotated[int, Range(at_least=1, at_most=65_536)] = 1024
