"""Attention-based Dropout Layer (Choe & Shim, CVPR 2019).

Source: Choe & Shim, Attention-based Dropout Layer for Weakly Supervised Object Localization,
CVPR 2019, section 3, and the authors' code. No known deviation: as in the code, one draw decides
for the whole batch, the importance map is the sigmoid of the raw attention, nothing is rescaled,
and the drop mask carries no gradient.
"""

from typing import TYPE_CHECKING

from wsol._lazy import lazy_names

if TYPE_CHECKING:
    from wsol.methods.adl.config import Config
    from wsol.methods.adl.layer import ADL
    from wsol.methods.adl.method import attach_adl

__all__ = ["ADL", "Config", "attach_adl"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "ADL": "wsol.methods.adl.layer",
        "Config": "wsol.methods.adl.config",
        "attach_adl": "wsol.methods.adl.method",
    },
)
