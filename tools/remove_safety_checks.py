"""Remove the safety checks of docs/reliability.md one by one, and test that each is detected.

    python tools/remove_safety_checks.py [--only WORD] [--promise WORD] [--jobs 2] [--no-baseline]

Works in copies of src, so the project is not changed. Exit status 1 if no test fails without one of
the safety checks.
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
LIST = ROOT / "tests/reliability/safety_checks.toml"
SECONDS = 300
"""Seconds after which a test counts as hanging, and so as failing."""

PASSED, FAILED, BROKEN = 0, 1, 99
"""Exit statuses of pytest; the last one if pytest raises an exception."""

HEAVY = ("torch", "torchvision", "timm", "numba", "pyarrow.parquet", "accelerate")
"""Modules that are imported once, before the tests run in forks."""

ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    # A few damaged images and a short wait are enough to detect a missing check.
    "WSOL_DAMAGED": "40",
    "WSOL_SECONDS": "60",
}


@dataclass(frozen=True)
class SafetyCheck:
    """One safety check.

    Attributes:
        promise: promise that it is part of.
        check: what it does.
        file: path below src/wsol.
        code: its code, found once in the file.
        without: replacement of the code when the check is removed.
        tests: tests, below ``tests``, one of which must then fail.
    """

    promise: str
    check: str
    file: str
    code: str
    without: str
    tests: tuple[str, ...]

    def __str__(self) -> str:
        """Return promise, purpose and file."""
        return f"{self.promise}: {self.check} ({self.file})"

    def removed(self, source: Path) -> str:
        """Return the file without the safety check.

        Args:
            source: folder of the package.

        Raises:
            ValueError: the code is not found exactly once.
            SyntaxError: the file is invalid without it.
        """
        text = (source / self.file).read_text(encoding="utf-8")
        if text.count(self.code) != 1:
            raise ValueError(f"{self.file}: found {text.count(self.code)} times:\n{self.code}")
        changed = text.replace(self.code, self.without)
        if self.file.endswith(".py"):
            compile(changed, self.file, "exec")
        return changed


def read_checks() -> list[SafetyCheck]:
    """Return all safety checks of the list."""
    with LIST.open("rb") as file:
        rows = tomllib.load(file)["checks"]
    return [SafetyCheck(**row | {"tests": tuple(row["tests"])}) for row in rows]


def run_tests(source: Path, tests: Sequence[str], log: Path) -> None:
    """Run tests with the package of a folder, and exit with the status of pytest.

    Args:
        source: folder of the package.
        tests: tests, below ``tests``.
        log: file for the output of pytest.
    """
    import pytest

    # Processes that the tests start end with them.
    os.setsid()
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.environ["PYTHONPATH"] = str(source)
    sys.path.insert(0, str(source))
    options = ["-q", "-x", "-p", "no:cacheprovider", f"--basetemp={log.parent / 'tests'}"]
    # Modules imported before pytest are not rewritten.
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
        folder: empty folder for the copy.
    """

    def __init__(self, folder: Path) -> None:
        """Copy the sources with their compiled code, which takes long to build."""
        self.folder, self.source = folder, folder / "src"
        shutil.copytree(ROOT / "src", self.source)
        self.process: ForkProcess | None = None
        self.check: SafetyCheck | None = None
        self.begin = time.monotonic()

    def start(self, check: SafetyCheck | None, tests: Sequence[str]) -> None:
        """Run tests without a safety check; None: with all."""
        self.check, self.begin = check, time.monotonic()
        if check is not None:
            place = self.source / "wsol" / check.file
            text = check.removed(ROOT / "src/wsol")
            place.write_text(text, encoding="utf-8")
        self.process = multiprocessing.get_context("fork").Process(
            target=run_tests, args=(self.source, tests, self.folder / "log")
        )
        self.process.start()

    def result(self) -> str | None:
        """Return the result of the tests, or None while they run; restore the safety check."""
        process = self.process
        hangs = time.monotonic() - self.begin > SECONDS
        if process is None or not process.pid or (process.exitcode is None and not hangs):
            return None
        with suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
        process.join()
        if self.check is not None:
            place = f"wsol/{self.check.file}"
            shutil.copyfile(ROOT / "src" / place, self.source / place)
        shutil.rmtree(self.folder / "tests", ignore_errors=True)
        self.process = None
        if hangs:
            return "caught (hangs)"
        left = process.exitcode or 0
        if left < 0:
            # The tests themselves were killed, for example as memory ran out.
            return f"caught (ended by {signal.Signals(-left).name})"
        known = {PASSED: "NOT CAUGHT", FAILED: "caught"}
        return known.get(left, f"NOT RUN: pytest left with {left}")


def remove_all(checks: Sequence[SafetyCheck], jobs: Sequence[Job]) -> list[SafetyCheck]:
    """Remove safety checks one by one, print each result, and return those not detected."""
    left, missed, done = deque(checks), [], 0
    while left or any(job.process for job in jobs):
        for job in jobs:
            if job.process is None and left:
                check = left.popleft()
                job.start(check, check.tests)
        wait([job.process.sentinel for job in jobs if job.process], timeout=5)
        for job in jobs:
            result = job.result()
            if result is None or job.check is None:
                continue
            done += 1
            seconds = time.monotonic() - job.begin
            say(f"{done}/{len(checks)} {job.check}: {result}, {seconds:.0f} s")
            if not result.startswith("caught"):
                missed.append(job.check)
    return missed


def say(line: str) -> None:
    """Print a line immediately."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    """Remove safety checks, and print how many are detected."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", default="", help="only checks with this in their name or file")
    parser.add_argument("--promise", default="", help="only promises with this in their name")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--no-baseline", action="store_true", help="do not run all tests first")
    given = parser.parse_args()
    checks = [
        check
        for check in read_checks()
        if given.only in str(check) and given.promise in check.promise
    ]
    for check in checks:
        check.removed(ROOT / "src/wsol")
    os.chdir(ROOT)
    os.environ |= ENVIRONMENT
    for name in HEAVY:
        import_module(name)
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="wsol-checks-") as folder:
        jobs = [Job(Path(folder, str(number))) for number in range(given.jobs)]
        if not given.no_baseline:
            jobs[0].start(None, list(dict.fromkeys(test for each in checks for test in each.tests)))
            jobs[0].process.join()
            if jobs[0].process.exitcode != PASSED:
                say((jobs[0].folder / "log").read_text(errors="replace"))
                say("tests fail with all safety checks in place")
                return FAILED
            jobs[0].begin = time.monotonic()
            jobs[0].result()
        missed = remove_all(checks, jobs)
    minutes = (time.monotonic() - begin) / 60
    caught = len(checks) - len(missed)
    say(f"{caught} of {len(checks)} safety checks caught in {minutes:.0f} minutes")
    for check in missed:
        say(f"not caught: {check}")
    return FAILED if missed else PASSED


if __name__ == "__main__":
    sys.exit(main())
