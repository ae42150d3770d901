"""The time left is shown when it can be known."""

import pytest

from wsol._utils.progress import Meter


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        """Start at zero."""
        self.now = 0.0

    def monotonic(self) -> float:
        """Return the time."""
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Return the clock of meters."""
    clock = Clock()
    monkeypatch.setattr("wsol._utils.progress.time", clock)
    return clock


def left(meter: Meter) -> int | None:
    """Return the seconds that a meter says are left."""
    *_, last = meter.status().split(", ")
    if not last.endswith(" left"):
        return None
    minutes, seconds = last.removesuffix(" left").split(":")
    return 60 * int(minutes) + int(seconds)


@pytest.mark.parametrize("batch", [1, 16])
def test_no_estimate_is_far_off(clock: Clock, batch: int) -> None:
    """The first image takes long, and images of a batch come at once: a minute is one."""
    meter = Meter("predict", 640, show=False)
    clock.now = 20.0
    shown = 0
    for number in range(640):
        if number % batch == 0:
            clock.now += 0.1 * batch
        meter.advance(1)
        seconds = left(meter)
        if seconds is not None:
            shown += 1
            assert seconds == pytest.approx((640 - number) * 0.1, rel=0.2, abs=3)
    assert shown > 400


def test_a_rate_that_changes_is_waited_for(clock: Clock) -> None:
    """As of a network that is compiled during the first steps."""
    meter = Meter("train", 1000, show=False)
    for number in range(600):
        clock.now += 4.0 if number < 4 else 1.2 if number < 6 else 0.05
        meter.advance(1)
        assert left(meter) in (None, *range(round((1000 - number) * 0.05 * 1.6) + 1))
    assert left(meter) == pytest.approx(400 * 0.05, abs=2)


def test_a_job_that_stands_still_says_nothing_of_the_end(clock: Clock) -> None:
    """Nor does it divide by zero."""
    meter = Meter("train", 10, show=False)
    for _ in range(20):
        clock.now += 2
        meter.advance(0)
    assert meter.status().startswith("0/10 images")
