"""Progress of long jobs on terminals and in logs."""

import time

from rich.console import Console
from rich.progress import BarColumn, Progress

PLAIN_SECONDS = 15.0

MARK_SECONDS = 1.0
"""Minimum seconds between two marks, which show whether the rate has settled."""

LEAST_MARKS = 8
"""Minimum number of marks for a settled rate: workers, compilers and caches slow the start."""


class Meter:
    """Progress meter that shows images per second and the time left.

    Args:
        title: name of the job.
        total: total number of images.
        show: whether to show anything; False for processes other than the first.
        unit: unit of the displayed counts.
        per_unit: count per displayed unit, for bytes that are displayed as MB.

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
            columns = ("{task.description}", BarColumn(), "{task.fields[s]}")
            self._bar = Progress(*columns, console=console, transient=True)
            self._bar.start()
            self._task = self._bar.add_task(self.title, total=self.total, s="")
        return self

    def __exit__(self, *error: object) -> None:
        """Remove the meter from the terminal."""
        if self._bar is not None:
            self._bar.stop()

    @property
    def rate(self) -> float:
        """Images (or other counted items) per second since the start."""
        return self.done / max(time.monotonic() - self._start, 1e-9)

    def status(self) -> str:
        """Return the progress and the rate as text, with the time left once the rate has settled.

        The time left is computed without the slow start of the job.
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
        """Record a mark about once a second; once the rate has settled, keep only the last one."""
        mark, marks = (time.monotonic(), self.done), self._marks
        if marks and mark[0] - marks[-1][0] < MARK_SECONDS:
            return
        if self._is_settled:
            marks[-1] = mark
            return
        marks.append(mark)
        # The second half of the marks excludes a slow start.
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
    """Return the rate between two marks of time and count."""
    return max(end[1] - begin[1], 1e-9) / max(end[0] - begin[0], 1e-9)


def byte_meter(title: str, total: int) -> Meter:
    """Create a meter of bytes, which are displayed as MB."""
    return Meter(title, total, unit="MB", per_unit=2**20)
