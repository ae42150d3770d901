"""Hide-and-Seek: training pictures with random patches hidden (Kumar Singh & Lee, ICCV 2017).

Source: Kumar Singh & Lee, Hide-and-Seek: Forcing a Network to be Meticulous for Weakly-supervised
Object and Action Localization, ICCV 2017, section 3.1, and the authors' code. No known deviation:
the grid starts at the upper left corner of the network's input, and each picture has its own grid
size and patches in each step. The PyTorch re-evaluation (wsolevaluation) has one grid size for all
pictures; give one to do the same.
"""

from typing import TYPE_CHECKING

from wsol._lazy import lazy_names

if TYPE_CHECKING:
    from wsol.methods.has.config import Config
    from wsol.methods.has.method import hide_patches

__all__ = ["Config", "hide_patches"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {"Config": "wsol.methods.has.config", "hide_patches": "wsol.methods.has.method"},
)
