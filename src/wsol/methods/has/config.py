"""Options of Hide-and-Seek."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from wsol.errors import ConfigError
from wsol.methods.base import MethodConfig

if TYPE_CHECKING:
    from wsol.methods.has.method import HaSMethod


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
    grid_sizes: tuple[int, ...] = (0, 16, 32, 44, 56)
    drop_rate: float = 0.5

    def __post_init__(self) -> None:
        """Refuse what is no grid, and a share outside [0, 1]."""
        if not self.grid_sizes or min(self.grid_sizes) < 0:
            raise ConfigError(
                f"method.grid_sizes is {list(self.grid_sizes)}: give at least one number of "
                "pixels, 0 or more"
            )
        if not 0 <= self.drop_rate <= 1:
            raise ConfigError(f"method.drop_rate is {self.drop_rate}: give a number from 0 to 1")

    def create(self) -> HaSMethod:
        """Return the method with these options."""
        from wsol.methods.has.method import HaSMethod

        return HaSMethod(self)
