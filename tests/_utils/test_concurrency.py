"""Results come in order, little is in flight, and errors arrive."""

import threading
import time
from collections.abc import Iterator

import pytest

from wsol._utils.concurrency import in_order


@pytest.mark.parametrize("threads", [0, 1, 4])
def test_results_come_in_order(threads: int) -> None:
    """Even if the first take longest."""

    def work(number: int) -> int:
        time.sleep(0.02 if number < 2 else 0)
        return -number

    assert list(in_order(work, range(20), threads)) == [-number for number in range(20)]


@pytest.mark.parametrize(("ahead", "begun"), [(0, 6), (4, 6), (20, 20)])
def test_few_items_are_ahead(ahead: int, begun: int) -> None:
    """While a result waits to be taken, at most two per thread are begun, or as many as asked."""
    taken: list[int] = []

    def items() -> Iterator[int]:
        for number in range(100):
            taken.append(number)
            yield number

    results = in_order(lambda number: number, items(), threads=3, ahead=ahead)
    for number in range(10):
        assert next(results) == number
        assert len(taken) == number + begun
    results.close()
    assert len(taken) == 9 + begun


def test_work_is_done_side_by_side() -> None:
    """Two threads meet, which one alone could not."""
    meeting = threading.Barrier(2, timeout=10)
    assert sorted(in_order(lambda _: meeting.wait(), range(2), threads=2)) == [0, 1]


@pytest.mark.parametrize("threads", [0, 2])
def test_an_error_arrives_in_its_place(threads: int) -> None:
    """After the results before it."""

    def work(number: int) -> float:
        return 1 / (3 - number)

    results = in_order(work, range(10), threads)
    assert [next(results) for _ in range(3)] == [1 / 3, 1 / 2, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)
