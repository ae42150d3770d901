"""Hide-and-Seek: training images with random patches hidden (Kumar Singh & Lee, ICCV 2017).

Source: Kumar Singh & Lee, Hide-and-Seek: Forcing a Network to be Meticulous for Weakly-supervised
Object and Action Localization, ICCV 2017, section 3.1, and the authors' code. No known deviation:
the grid starts at the upper left corner of the network's input, and each image has a separate grid
size and patches in each step. The PyTorch re-evaluation (wsolevaluation) has one grid size for all
images; set a single size to reproduce it.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from wsol._lazy import lazy_names
from wsol.methods.base import MethodConfig
from wsol.options import NOT_EMPTY, Fraction, Range

if TYPE_CHECKING:
    from wsol.methods.has.method import hide_patches

GridSize = Annotated[int, Range(at_least=0, at_most=4096)]


@dataclass(frozen=True)
class Config(MethodConfig):
    """Hide-and-Seek: hides random patches of the training images.

    Args:
        name: method name.
        grid_sizes: sides of the square patches in pixels of the network's input; one is drawn for
            each image and step. 0 leaves the image unchanged.
        drop_rate: probability of hiding each patch.

    Source: Kumar Singh & Lee, ICCV 2017, section 3.1; values of the authors' code.
    """

    method_class: ClassVar[str] = "wsol.methods.has.method.HaSMethod"
    name: Literal["has"] = "has"
    grid_sizes: Annotated[tuple[GridSize, ...], NOT_EMPTY] = (0, 16, 32, 44, 56)
    drop_rate: Fraction = 0.5


__all__ = ["Config", "hide_patches"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {"Config": "wsol.methods.has", "hide_patches": "wsol.methods.has.method"},
)
