"""Work in processes that may die at any moment."""

import os
import signal
from multiprocessing.connection import Connection

import pytest

from wsol._utils.concurrency import Death, isolated


def half_sent(item: int) -> int:
    """Return what is sent by half only, as this process then dies."""

    def send(self: Connection, content: bytes, *_: object) -> None:
        os.write(self.fileno(), content[: len(content) // 2])
        signal.raise_signal(signal.SIGKILL)

    # This process ends with it.
    pytest.MonkeyPatch().setattr(Connection, "_send", send)
    return item


def test_a_process_that_dies_while_it_sends_is_one_that_dies() -> None:
    """The other one's result comes whole."""
    found = isolated(lambda item: half_sent(item) if item == 7 else item, [7, 8])
    assert found == [Death("it was ended by SIGKILL"), 8]
