"""Boxes from image-level labels."""

from typing import TYPE_CHECKING

from wsol._lazy import lazy_names

if TYPE_CHECKING:
    from wsol.engine.annotate import annotate
    from wsol.engine.evaluate import evaluate
    from wsol.engine.localize import Localizer
    from wsol.engine.train import train
    from wsol.localization import Localization

__version__ = "0.1.0"
__all__ = ["Localization", "Localizer", "__version__", "annotate", "evaluate", "train"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "Localization": "wsol.localization",
        "Localizer": "wsol.engine.localize",
        "annotate": "wsol.engine.annotate",
        "evaluate": "wsol.engine.evaluate",
        "train": "wsol.engine.train",
    },
)
