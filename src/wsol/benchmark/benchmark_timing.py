"""How long stages take on this machine, each by itself."""

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from wsol.benchmark.bottleneck import Stage
from wsol.data.loader import ImageFiles, Key

LEAST_REPEATS = 2


def seconds_per_image(
    work: Callable[[], object],
    images: int,
    seconds: float,
    wait: Callable[[], object] = lambda: None,
) -> float:
    """Return how long some work takes for one image, the median of its repetitions.

    Args:
        work: done once before the clock starts, and then again and again.
        images: that it sees each time.
        seconds: for which it is repeated at least.
        wait: returns when the device has done what was asked of it.

    >>> seconds_per_image(lambda: time.sleep(0.01), images=2, seconds=0.02) >= 0.005
    True
    """
    work()
    wait()
    taken: list[float] = []
    while sum(taken) < seconds or len(taken) < LEAST_REPEATS:
        begin = time.perf_counter()
        work()
        wait()
        taken.append(time.perf_counter() - begin)
    return statistics.median(taken) / images


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute as worker processes do."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def read_stages(
    files: ImageFiles, decode: Callable[[int], None], second: str, seconds: float
) -> list[Stage]:
    """Return how long pictures take to be decoded and transformed, by one worker.

    Args:
        files: the pictures.
        decode: decodes the picture of an index.
        second: name of the transform.
        seconds: for which each is repeated at least.
    """
    numbers = range(min(len(files), 16))

    def decode_all() -> None:
        for index in numbers:
            decode(index)

    def read_all() -> None:
        for index in numbers:
            files[Key(index, (0, 0, index))]

    decoded = seconds_per_image(decode_all, len(numbers), seconds)
    both = seconds_per_image(read_all, len(numbers), seconds)
    return [
        Stage("decode", decoded, in_worker=True),
        Stage(second, max(both - decoded, 0.0), in_worker=True),
    ]


def waiter(device: torch.device) -> Callable[[], object]:
    """Return what waits for a device to have done what was asked of it."""
    return torch.cuda.synchronize if device.type == "cuda" else lambda: None
