"""Weakly supervised object localization: bounding boxes from image-level labels."""

from typing import TYPE_CHECKING

from wsol._lazy import lazy_names

if TYPE_CHECKING:
    from wsol.annotation.annotate import annotate
    from wsol.evaluation.evaluate import evaluate
    from wsol.inference.localizer import Localizer
    from wsol.results.localization import Localization
    from wsol.training.trainer import train

__version__ = "0.1.0"
__all__ = ["Localization", "Localizer", "__version__", "annotate", "evaluate", "train"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "Localization": "wsol.results.localization",
        "Localizer": "wsol.inference.localizer",
        "annotate": "wsol.annotation.annotate",
        "evaluate": "wsol.evaluation.evaluate",
        "train": "wsol.training.trainer",
    },
)
