"""Progress of long jobs, on terminals and in logs."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import TracebackType
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

PLAIN_SECONDS = 15.0

MARK_SECONDS = 1.0
"""Between two marks of how far a job is, by which it is seen whether its rate has settled."""

LEAST_MARKS = 8
"""Before a rate is trusted: the first images wait for workers, compilers and caches."""


class Meter:
    """Counts images of a job and shows images per second and the time left.

    Args:
        title: what is being done.
        total: images in all.
        show: False keeps silent, for processes other than the first.
        unit: what is counted, for people.
        per_unit: how many are one unit, for bytes shown as MB.

    >>> with Meter("train", 100, show=False) as meter:
    ...     meter.advance(10)
    ...     meter.done
    10
    """

    def __init__(
        self, title: str, total: int, show: bool = True, unit: str = "images", per_unit: int = 1
    ) -> None:
        """Start the clock."""
        self.unit, self.per_unit = unit, per_unit
        self.title, self.total, self.show = title, total, show
        self.done = 0
        self._start = self._last = time.monotonic()
        self._marks: list[tuple[float, int]] = []
        self._is_settled = False
        self._bar: Progress | None = None

    def __enter__(self) -> "Meter":
        """Show the meter."""
        console = Console(stderr=True)
        if self.show and console.is_terminal:
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.fields[s]}"),
            )
            self._bar = Progress(*columns, console=console, transient=True)
            self._bar.start()
            self._task = self._bar.add_task(self.title, total=self.total, s="")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Take the meter off the terminal."""
        if self._bar is not None:
            self._bar.stop()

    @property
    def rate(self) -> float:
        """Images, or what else is counted, per second since the start."""
        return self.done / max(time.monotonic() - self._start, 1e-9)

    def status(self) -> str:
        """Return the state in words: how many of how many, and the speed.

        The time left is added when the rate has settled; how long the start took has no part in it.
        """
        text = (
            f"{self.done // self.per_unit}/{self.total // self.per_unit} {self.unit}, "
            f"{self.rate / self.per_unit:.1f} {self.unit}/s"
        )
        if not self._is_settled:
            return text
        last, done = self._marks[-1]
        left = (self.total - done) / _rate(*self._marks) - (time.monotonic() - last)
        minutes, seconds = divmod(round(max(left, 0)), 60)
        return f"{text}, {minutes}:{seconds:02d} left"

    def _mark(self) -> None:
        """Note time and number about once a second; when the rate has settled, the last alone."""
        mark, marks = (time.monotonic(), self.done), self._marks
        if marks and mark[0] - marks[-1][0] < MARK_SECONDS:
            return
        if self._is_settled:
            marks[-1] = mark
            return
        marks.append(mark)
        # Of the time until now, what a slow start has left behind it.
        begin, middle = marks[len(marks) // 2], marks[len(marks) * 3 // 4]
        if len(marks) >= LEAST_MARKS:
            before, after = _rate(begin, middle), _rate(middle, mark)
            if before < 1.5 * after and after < 1.5 * before:
                self._marks, self._is_settled = [begin, mark], True

    def advance(self, images: int) -> None:
        """Count images as done."""
        self.done += images
        self._mark()
        if self._bar is not None:
            self._bar.update(self._task, completed=self.done, s=self.status())
        elif self.show and time.monotonic() - self._last > PLAIN_SECONDS:
            self._last = time.monotonic()
            Console(stderr=True).print(f"{self.title}: {self.status()}", highlight=False)


def _rate(begin: tuple[float, int], end: tuple[float, int]) -> float:
    """Return the rate between two marks of time and number."""
    return max(end[1] - begin[1], 1e-9) / max(end[0] - begin[0], 1e-9)


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
