"""The part of numba that wsol uses; the package ships no types."""

from collections.abc import Callable
from typing import TypeVar

F = TypeVar("F", bound=Callable[..., object])

def njit(*, cache: bool = ..., inline: str = ..., nogil: bool = ...) -> Callable[[F], F]: ...
