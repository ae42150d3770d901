"""Work that may end the process it is done in."""

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Death:
    """What there is instead of a result.

    Attributes:
        reason: why the process ended.
    """

    reason: str


@contextmanager
def ending_after(seconds: float) -> Iterator[None]:
    """End this process where the block takes longer, even where it never comes back to Python.

    Args:
        seconds: that the block has.
    """
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def isolated(work: Callable[[T], R], items: Sequence[T]) -> list[R | Death]:
    """Return the result of each item, from processes other than this one.

    One process does all of them. Where it dies, others do a half each, and so on until it is known
    which items end their process.

    Args:
        work: done with each item.
        items: not many.

    Raises:
        Exception: what ``work`` raises.

    >>> isolated(abs, [-1, 2])
    [1, 2]
    >>> isolated(signal.raise_signal, [0, signal.SIGKILL])
    [None, Death(reason='it was ended by SIGKILL')]
    """
    found = _in_process(work, items)
    if not isinstance(found, Death):
        return found
    if len(items) == 1:
        return [found]
    half = len(items) // 2
    return isolated(work, items[:half]) + isolated(work, items[half:])


def _in_process(work: Callable[[T], R], items: Sequence[T]) -> "list[R | Death] | Death":
    receiver, sender = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.Process(target=_work, args=(work, items, sender), daemon=True)
    process.start()
    sender.close()
    with receiver:
        # The end of the process is waited for as well: others may have inherited the pipe.
        wait([receiver, process.sentinel])
        try:
            found = receiver.recv() if receiver.poll() else None
        except (EOFError, OSError):
            # It ended before it sent anything, or while it did.
            found = None
    process.join()
    if isinstance(found, Exception):
        raise found
    return Death(_reason(process.exitcode)) if found is None else found


def _work(work: Callable[[T], R], items: Sequence[T], sender: Connection) -> None:
    try:
        found = [work(item) for item in items]
    except Exception as error:
        sender.send(error)
    else:
        sender.send(found)


def _reason(status: int | None) -> str:
    """Return why a process ended, from its exit status."""
    if status is not None and status < 0:
        return f"it was ended by {signal.Signals(-status).name}"
    return f"it left with status {status}"
