"""Work by a few threads, with results in order and little of it in flight."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
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
