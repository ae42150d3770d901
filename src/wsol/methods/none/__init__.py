"""Plain training of a classifier, as for class activation mapping (Zhou et al., 2016)."""

from dataclasses import dataclass
from typing import Literal

from wsol.methods.base import MethodConfig


@dataclass(frozen=True)
class Config(MethodConfig):
    """Plain training with cross-entropy, for class activation maps.

    Args:
        name: method name.

    Source: Zhou et al., Learning Deep Features for Discriminative Localization, CVPR 2016.
    """

    name: Literal["none"] = "none"
