"""CutMix: a box of each image is replaced by another image's, and labels are mixed accordingly.

Source: Yun et al., CutMix: Regularization Strategy to Train Strong Classifiers with Localizable
Features, ICCV 2019, section 3.1 and equations 1 and 2, and the PyTorch re-evaluation
(wsolevaluation). As in the authors' code, one box is drawn for the whole batch and each image
gets its box from another one of the batch; a box that exceeds the edge is clipped, and the labels
are mixed by the remaining area. Known deviation: with multiple processes each mixes its share of
the batch, where the published code mixes the whole batch.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from wsol._lazy import lazy_names
from wsol.methods.base import MethodConfig
from wsol.options import Fraction, PositiveFloat

if TYPE_CHECKING:
    from wsol.methods.cutmix.method import cutmix


@dataclass(frozen=True)
class Config(MethodConfig):
    """CutMix: a box of each training image is replaced by another image's; labels are mixed.

    Args:
        name: method name.
        beta: both parameters of the beta distribution of the fraction of an image that is kept; 1
            is uniform.
        prob: probability of mixing a batch.

    Source: Yun et al., ICCV 2019, section 3.1; values of the PyTorch re-evaluation.
    """

    method_class: ClassVar[str] = "wsol.methods.cutmix.method.CutMixMethod"
    name: Literal["cutmix"] = "cutmix"
    beta: PositiveFloat = 1.0
    prob: Fraction = 1.0


__all__ = ["Config", "cutmix"]

__getattr__, __dir__ = lazy_names(
    __name__, {"Config": "wsol.methods.cutmix", "cutmix": "wsol.methods.cutmix.method"}
)
