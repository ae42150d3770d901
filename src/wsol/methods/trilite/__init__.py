"""TriLite (Sabaghi & Oramas, CVPR 2026).

Source: Sabaghi & Oramas, TriLite: Efficient Weakly Supervised Object Localization with Universal
Visual Features and Tri-Region Disentanglement, CVPR 2026, arXiv 2602.23120. Written from its
abstract and published summaries, as the full text was not available.

From these sources: the frozen body; three maps (foreground, background, ambiguous) by a
convolution, batch normalization and a softmax over the maps; features pooled by the foreground and
by the background map; the background loss, -log(1 - probability of the ground-truth class in the
background); a classifier separate from the maps.

Known deviations and additions: features of two layers, as those of a convolutional network are
coarse, where the paper has the patches of a transformer; the classifier of the pooled features is
that of all features, where the paper's has the class token, and is trained on all features only;
for multi-label images the background loss is the sum over the image's labels.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

from wsol.methods.base import MethodConfig
from wsol.options import Name, NonNegativeFloat
from wsol.types import FOREGROUND


@dataclass(frozen=True)
class Config(MethodConfig):
    """TriLite: maps of foreground, background and ambiguous regions on frozen features.

    Args:
        name: method name.
        layers: modules whose outputs the maps read, in addition to the last features. Default: the
            second to last stage.
        background_weight: weight of the loss that suppresses the class in the background.

    Source: Sabaghi & Oramas, CVPR 2026 (arXiv 2602.23120).
    """

    localizer: ClassVar[str] = FOREGROUND

    method_class: ClassVar[str] = "wsol.methods.trilite.method.TriLiteMethod"
    name: Literal["trilite"] = "trilite"
    layers: tuple[Name, ...] = ()
    background_weight: NonNegativeFloat = 5.0
