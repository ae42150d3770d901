"""Decorator for numba functions, cached on disk if possible."""

from collections.abc import Callable
from typing import TypeVar

from numba import njit

F = TypeVar("F", bound=Callable[..., object])


def compiled(*, nogil: bool = False) -> Callable[[F], F]:
    """Compile a function on its first call; with ``nogil`` it releases the GIL."""

    def compile_once(function: F) -> F:
        try:
            return njit(cache=True, nogil=nogil)(function)
        except RuntimeError:
            # numba raises an error if neither this folder nor the user's cache is writable.
            return njit(nogil=nogil)(function)

    return compile_once
