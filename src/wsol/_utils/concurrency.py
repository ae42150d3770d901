"""Ordered work in threads, and work isolated in processes."""

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
    """Yield the result of each item, in the order of the items, which are read lazily.

    Exceptions of ``work`` are raised here. With 0 threads, it is called in the calling thread. The
    number of results that are computed in advance is ``ahead``, but at least two per thread.

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
    """Takes the place of a result if the process crashed, with the reason why it ended."""

    reason: str


@contextmanager
def ending_after(seconds: float) -> Iterator[None]:
    """Terminate this process on timeout, even if the block never returns to Python."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def isolated(work: Callable[[T], R], items: Sequence[T]) -> list[R | Death]:
    """Return the result of each item, computed in child processes.

    A single process handles all items. If it crashes, two others handle half of the items each, and
    so on, until the items that crash their process are found. Exceptions of ``work`` are raised.

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
        # Wait for the end of the process too, as other processes may have inherited the pipe.
        wait([receiver, process.sentinel])
        try:
            found = receiver.recv() if receiver.poll() else None
        except (EOFError, OSError):
            # The process ended before or while it sent the result.
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
    """Return the reason why a process ended, from its exit status."""
    if status is not None and status < 0:
        return f"it was ended by {signal.Signals(-status).name}"
    return f"it left with status {status}"
