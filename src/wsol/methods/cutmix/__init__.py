"""CutMix: a box of each picture comes from another, and so does its share of the label.

Source: Yun et al., CutMix: Regularization Strategy to Train Strong Classifiers with Localizable
Features, ICCV 2019, section 3.1 and equations 1 and 2, and the PyTorch re-evaluation
(wsolevaluation). As in the authors' code, one box is drawn for the whole batch and each picture
gets its box from another one of the batch; a box that reaches over the edge is cut there, and the
labels are mixed by the area that is left. Known deviation: with several processes each mixes its
own share of the batch, where the published code mixes the whole.
"""

from typing import TYPE_CHECKING

from wsol._lazy import lazy_names

if TYPE_CHECKING:
    from wsol.methods.cutmix.config import Config
    from wsol.methods.cutmix.method import cutmix

__all__ = ["Config", "cutmix"]

__getattr__, __dir__ = lazy_names(
    __name__, {"Config": "wsol.methods.cutmix.config", "cutmix": "wsol.methods.cutmix.method"}
)
