"""Class-agnostic contrast (C2AM; Xie et al., CVPR 2022).

Source: Xie et al., C2AM: Contrastive learning of Class-agnostic Activation Map for Weakly
Supervised Object Localization and Semantic Segmentation, CVPR 2022, section 3, equations 1 to 9.

Known deviations: the convolution is 1x1, where the paper's is 3x3; it reads two layers, on the grid
of the finer one, and each channel is standardized first; so are the channels of the features that
are contrasted, without their means being taken out; a linear classifier learns
beside it, where the paper takes the classes from another network. Which side of the map is the
foreground is open in the losses. Here it is the side with more of the classifier's own map.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from wsol.methods.base import MethodConfig
from wsol.options import Name, NonNegativeFloat
from wsol.types import FOREGROUND


@dataclass(frozen=True)
class Config(MethodConfig):
    """C2AM: a class-agnostic map whose two sides have features as different as can be.

    Args:
        name: of the method.
        layers: names of modules of the network whose outputs the map is made of, beside the last
            features. Empty: the last stage but one.
        alpha: how fast the weight of a pair of images falls with the rank of its similarity.

    Source: Xie et al., CVPR 2022, section 3; alpha as in the paper.
    """

    localizer: ClassVar[str] = FOREGROUND

    method_class: ClassVar[str] = "wsol.methods.c2am.method.C2AMMethod"
    name: Literal["c2am"] = "c2am"
    layers: tuple[Name, ...] = ()
    alpha: NonNegativeFloat = 0.25
