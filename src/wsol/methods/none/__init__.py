"""Plain training of a classifier, as class activation mapping uses it (Zhou et al., 2016)."""

from dataclasses import dataclass
from typing import Literal

from wsol.methods.base import MethodConfig


@dataclass(frozen=True)
class Config(MethodConfig):
    """Plain training with cross-entropy; class activation maps are read from the result.

    Args:
        name: of the method.

    Source: Zhou et al., Learning Deep Features for Discriminative Localization, CVPR 2016.
    """

    name: Literal["none"] = "none"
