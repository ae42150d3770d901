"""What a long step of a preparation tells about its progress."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Advances(Protocol):
    """Whatever counts bytes."""

    def advance(self, amount: int, /) -> None:
        """Count bytes as done."""


Meters = Callable[[str, int], AbstractContextManager[Advances]]
"""From the name of a step and its bytes to something that counts them."""


class _Silent:
    def advance(self, amount: int, /) -> None:
        pass


@contextmanager
def silent(title: str, total: int) -> Iterator[Advances]:
    """Count nothing.

    >>> with silent("check", 100) as meter:
    ...     meter.advance(10)
    """
    yield _Silent()
