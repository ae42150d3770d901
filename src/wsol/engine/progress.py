"""How far a long job is: one line that moves on a terminal, plain lines otherwise."""

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

PLAIN_SECONDS = 15.0


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
        """Return the state in words: how many of how many, how fast, how long still."""
        left = (self.total - self.done) / max(self.rate, 1e-9)
        minutes, seconds = divmod(round(left), 60)
        return (
            f"{self.done // self.per_unit}/{self.total // self.per_unit} {self.unit}, "
            f"{self.rate / self.per_unit:.1f} {self.unit}/s, "
            f"{minutes}:{seconds:02d} left"
        )

    def advance(self, images: int) -> None:
        """Count images as done."""
        self.done += images
        if self._bar is not None:
            self._bar.update(self._task, completed=self.done, s=self.status())
        elif self.show and time.monotonic() - self._last > PLAIN_SECONDS:
            self._last = time.monotonic()
            Console(stderr=True).print(f"{self.title}: {self.status()}", highlight=False)
