"""TriLite (Sabaghi & Oramas, CVPR 2026).

Source: Sabaghi & Oramas, TriLite: Efficient Weakly Supervised Object Localization with Universal
Visual Features and Tri-Region Disentanglement, CVPR 2026, arXiv 2602.23120. Written from its
abstract and published summaries, as the full text was not at hand.

From there: the frozen body; three maps (foreground, background, ambiguous) by a convolution, batch
normalization and a softmax over the maps; features pooled by the foreground and by the background
map; the background loss, -log(1 - probability of the true class in the background); a classifier
apart from the maps.

Known deviations and own choices: features of two layers, as those of a convolutional network are
coarse, where the paper has the patches of a transformer; the classifier of the pooled features is
that of all features, where the paper's has the class token, and learns from these alone; with
several labels the background loss is the sum over the image's labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from wsol.methods.base import MethodConfig
from wsol.options import Name, NonNegativeFloat
from wsol.types import FOREGROUND


@dataclass(frozen=True)
class Config(MethodConfig):
    """TriLite: a map of foreground, background and ambiguous places on frozen features.

    Args:
        name: of the method.
        layers: names of modules of the network whose outputs the maps are made of, beside the last
            features. Empty: the last stage but one.
        background_weight: of the loss that keeps the class out of the background.

    Source: Sabaghi & Oramas, CVPR 2026 (arXiv 2602.23120).
    """

    localizer: ClassVar[str] = FOREGROUND

    method_class: ClassVar[str] = "wsol.methods.trilite.method.TriLiteMethod"
    name: Literal["trilite"] = "trilite"
    layers: tuple[Name, ...] = ()
    background_weight: NonNegativeFloat = 5.0
