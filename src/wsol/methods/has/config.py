"""Options of Hide-and-Seek."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from wsol.methods.base import MethodConfig
from wsol.options import Fraction, NotEmpty, Range

if TYPE_CHECKING:
    from wsol.methods.has.method import HaSMethod

GridSize = Annotated[int, Range(at_least=0, at_most=4096)]


@dataclass(frozen=True)
class Config(MethodConfig):
    """Hide-and-Seek: hides random patches of the training pictures.

    Args:
        name: of the method.
        grid_sizes: sides of the square patches in pixels of the network's input; one is drawn for
            each picture and step. 0 leaves the picture whole.
        drop_rate: probability of each patch to be hidden.

    Source: Kumar Singh & Lee, ICCV 2017, section 3.1; values of the authors' code.
    """

    name: Literal["has"] = "has"
    grid_sizes: Annotated[tuple[GridSize, ...], NotEmpty()] = (0, 16, 32, 44, 56)
    drop_rate: Fraction = 0.5

    def create(self) -> HaSMethod:
        """Return the method with these options."""
        from wsol.methods.has.method import HaSMethod

        return HaSMethod(self)
