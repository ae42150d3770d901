"""Remove the guards behind docs/reliability.md one by one, and see whether a test fails each time.

    python tools/remove_guards.py [--only WORD] [--promise WORD] [--jobs 2] [--no-baseline]

Works in copies of src, so the project is not touched. Leaves with 1 where a guard is not caught.
"""

import argparse
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import time
import tomllib
import traceback
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from multiprocessing.connection import wait
from multiprocessing.context import ForkProcess
from pathlib import Path

ROOT = Path(__file__).parents[1]
LIST = ROOT / "tests/reliability/guards.toml"
SECONDS = 300
"""After which a test hangs, which is as good as failing."""

PASSED, FAILED, BROKEN = 0, 1, 99
"""What pytest leaves with, the last where it does not come that far."""

HEAVY = ("torch", "torchvision", "timm", "numba", "pyarrow.parquet", "accelerate")
"""Imported once: a test without a guard is then a fork that begins at once."""

ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    # A few damaged images tell whether there is a guard at all, and so does a short wait.
    "WSOL_DAMAGED": "40",
    "WSOL_SECONDS": "60",
}


@dataclass(frozen=True)
class Guard:
    """One guard.

    Attributes:
        promise: that it is a part of.
        guard: what it does.
        file: below src/wsol.
        code: found once in the file.
        without: what stands there when the guard is removed.
        tests: below tests, one of which must then fail.
    """

    promise: str
    guard: str
    file: str
    code: str
    without: str
    tests: tuple[str, ...]

    def __str__(self) -> str:
        """Return what it does for which promise, and where."""
        return f"{self.promise}: {self.guard} ({self.file})"

    def removed(self, source: Path) -> str:
        """Return the file without the guard.

        Args:
            source: folder of the package.

        Raises:
            ValueError: the code is not there, or several times, or cannot do without it.
        """
        text = (source / self.file).read_text(encoding="utf-8")
        if text.count(self.code) != 1:
            raise ValueError(f"{self.file}: found {text.count(self.code)} times:\n{self.code}")
        changed = text.replace(self.code, self.without)
        if self.file.endswith(".py"):
            compile(changed, self.file, "exec")
        return changed


def read_guards() -> list[Guard]:
    """Return all guards of the list."""
    with LIST.open("rb") as file:
        rows = tomllib.load(file)["guards"]
    return [Guard(**row | {"tests": tuple(row["tests"])}) for row in rows]


def run_tests(source: Path, tests: Sequence[str], log: Path) -> None:
    """Run tests of the package as it lies in a folder, and leave as pytest does.

    Args:
        source: the folder.
        tests: below tests.
        log: for what pytest says.
    """
    import pytest

    # What they start ends with them.
    os.setsid()
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.environ["PYTHONPATH"] = str(source)
    sys.path.insert(0, str(source))
    options = ["-q", "-x", "-p", "no:cacheprovider", f"--basetemp={log.parent / 'tests'}"]
    # What is imported before pytest tells less of why an assertion fails.
    options += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]
    try:
        status = int(pytest.main([*options, *(f"tests/{test}" for test in tests)]))
    except BaseException:
        traceback.print_exc()
        status = BROKEN
    sys.stdout.flush()
    os._exit(status)


class Job:
    """A copy of the package, and the tests that run with it.

    Args:
        folder: empty, for the copy.
    """

    def __init__(self, folder: Path) -> None:
        """Copy, with the machine code, which is long in the making."""
        self.folder, self.source = folder, folder / "src"
        shutil.copytree(ROOT / "src", self.source)
        self.process: ForkProcess | None = None
        self.guard: Guard | None = None
        self.begin = time.monotonic()

    def start(self, guard: Guard | None, tests: Sequence[str]) -> None:
        """Run tests, without a guard."""
        self.guard, self.begin = guard, time.monotonic()
        if guard is not None:
            place = self.source / "wsol" / guard.file
            text = guard.removed(ROOT / "src/wsol")
            place.write_text(text, encoding="utf-8")
        self.process = multiprocessing.get_context("fork").Process(
            target=run_tests, args=(self.source, tests, self.folder / "log")
        )
        self.process.start()

    def result(self) -> str | None:
        """Return what became of the tests, or None while they run; then put the guard back."""
        process = self.process
        hangs = time.monotonic() - self.begin > SECONDS
        if process is None or not process.pid or (process.exitcode is None and not hangs):
            return None
        with suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
        process.join()
        if self.guard is not None:
            place = f"wsol/{self.guard.file}"
            shutil.copyfile(ROOT / "src" / place, self.source / place)
        shutil.rmtree(self.folder / "tests", ignore_errors=True)
        self.process = None
        if hangs:
            return "caught (hangs)"
        left = process.exitcode or 0
        if left < 0:
            # What ends the tests themselves, as all memory for what has no end.
            return f"caught (ended by {signal.Signals(-left).name})"
        known = {PASSED: "NOT CAUGHT", FAILED: "caught"}
        return known.get(left, f"NOT RUN: pytest left with {left}")


def remove_all(guards: Sequence[Guard], jobs: Sequence[Job]) -> list[Guard]:
    """Remove guards one by one, print what became of each, and return those not caught."""
    left, missed, done = deque(guards), [], 0
    while left or any(job.process for job in jobs):
        for job in jobs:
            if job.process is None and left:
                guard = left.popleft()
                job.start(guard, guard.tests)
        wait([job.process.sentinel for job in jobs if job.process], timeout=5)
        for job in jobs:
            result = job.result()
            if result is None or job.guard is None:
                continue
            done += 1
            seconds = time.monotonic() - job.begin
            say(f"{done}/{len(guards)} {job.guard}: {result}, {seconds:.0f} s")
            if not result.startswith("caught"):
                missed.append(job.guard)
    return missed


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    """Remove guards, and say how many are caught."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", default="", help="guards with this in their name or file")
    parser.add_argument("--promise", default="", help="guards of promises with this in their name")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--no-baseline", action="store_true", help="trust that the tests pass")
    given = parser.parse_args()
    guards = [
        guard
        for guard in read_guards()
        if given.only in str(guard) and given.promise in guard.promise
    ]
    for guard in guards:
        guard.removed(ROOT / "src/wsol")
    os.chdir(ROOT)
    os.environ |= ENVIRONMENT
    for name in HEAVY:
        import_module(name)
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="wsol-guards-") as folder:
        jobs = [Job(Path(folder, str(number))) for number in range(given.jobs)]
        if not given.no_baseline:
            jobs[0].start(None, list(dict.fromkeys(test for each in guards for test in each.tests)))
            jobs[0].process.join()
            if jobs[0].process.exitcode != PASSED:
                say((jobs[0].folder / "log").read_text(errors="replace"))
                say("tests fail with all guards in place")
                return FAILED
            jobs[0].begin = time.monotonic()
            jobs[0].result()
        missed = remove_all(guards, jobs)
    minutes = (time.monotonic() - begin) / 60
    say(f"{len(guards) - len(missed)} of {len(guards)} guards caught in {minutes:.0f} minutes")
    for guard in missed:
        say(f"not caught: {guard}")
    return FAILED if missed else PASSED


if __name__ == "__main__":
    sys.exit(main())
