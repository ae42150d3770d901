"""Work by a few threads, with results in order and little of it in flight."""

import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def in_order(
    work: Callable[[T], R], items: Iterable[T], threads: int, ahead: int = 0
) -> Iterator[R]:
    """Yield the result of each item, in the order of the items.

    Args:
        work: what to do with an item; what it raises is raised here.
        items: taken as they are needed, at most ``ahead`` or two per thread before their turn.
        threads: how many work at once; 0 works in this one.
        ahead: how many results may wait; at least two per thread do.

    >>> list(in_order(lambda number: number**2, range(4), threads=2))
    [0, 1, 4, 9]
    """
    if threads == 0:
        yield from map(work, items)
        return
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[R]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) == max(ahead, 2 * threads):
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


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
