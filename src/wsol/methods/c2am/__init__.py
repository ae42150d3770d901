"""Class-agnostic contrast (C2AM; Xie et al., CVPR 2022).

Source: Xie et al., C2AM: Contrastive learning of Class-agnostic Activation Map for Weakly
Supervised Object Localization and Semantic Segmentation, CVPR 2022, section 3, equations 1 to 9.

Known deviations: the convolution is 1x1, where the paper's is 3x3; it reads two layers, on the grid
of the finer one, and each channel is standardized first; the channels of the contrasted features
are scaled to unit variance, without subtracting their means; a linear classifier is trained along
with it, where the paper takes the classes from another network. The losses do not determine which
side of the map is the foreground. Here it is the side with more of the classifier's maps.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

from wsol.methods.base import MethodConfig
from wsol.options import Name, NonNegativeFloat
from wsol.types import FOREGROUND


@dataclass(frozen=True)
class Config(MethodConfig):
    """C2AM: a class-agnostic map whose two sides have maximally different features.

    Args:
        name: method name.
        layers: modules whose outputs the map reads, in addition to the last features. Default: the
            second to last stage.
        alpha: decay of the weight of an image pair with the rank of its similarity.

    Source: Xie et al., CVPR 2022, section 3; alpha as in the paper.
    """

    localizer: ClassVar[str] = FOREGROUND

    method_class: ClassVar[str] = "wsol.methods.c2am.method.C2AMMethod"
    name: Literal["c2am"] = "c2am"
    layers: tuple[Name, ...] = ()
    alpha: NonNegativeFloat = 0.25
