"""Machine code that is kept for the next process, where there is a place to keep it."""

from collections.abc import Callable
from typing import TypeVar

from numba import njit

F = TypeVar("F", bound=Callable[..., object])


def compiled(*, nogil: bool = False) -> Callable[[F], F]:
    """Compile a function when it is first called.

    Args:
        nogil: Whether other threads may run meanwhile.

    >>> @compiled()
    ... def double(number: int) -> int:
    ...     return 2 * number
    >>> double(21)
    42
    """

    def compile_once(function: F) -> F:
        try:
            return njit(cache=True, nogil=nogil)(function)
        except RuntimeError:
            # numba refuses to begin where neither this folder nor the user's can be written.
            return njit(nogil=nogil)(function)

    return compile_once
