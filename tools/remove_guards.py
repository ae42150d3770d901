"""Remove the guards behind docs/reliability.md one by one, and see whether a test fails each time.

    python tools/remove_guards.py [--only WORD] [--promise WORD] [--jobs 2] [--no-baseline]

Works in copies of src, so the project is not touched. Leaves with 1 where a guard is not caught.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import Queue

ROOT = Path(__file__).parents[1]
LIST = ROOT / "tests/reliability/guards.toml"
SECONDS = 300
"""After which a test hangs, which is as good as failing."""

FAILED, PASSED = 1, 0
"""What pytest leaves with."""


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


def run_tests(source: Path, tests: Iterable[str], *options: str) -> int | None:
    """Return what pytest leaves with, or None where it hangs.

    Args:
        source: folder that the package lies in.
        tests: below tests.
        options: of pytest.
    """
    environment = os.environ | {
        "PYTHONPATH": str(source),
        "OMP_NUM_THREADS": "1",
        # A few damaged pictures tell whether there is a guard at all, and so does a short wait.
        "WSOL_DAMAGED": "40",
        "WSOL_SECONDS": "60",
    }
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *options]
    with tempfile.TemporaryDirectory(prefix="wsol-guards-") as base:
        argv = [*command, f"--basetemp={base}/tests", *(f"tests/{test}" for test in tests)]
        try:
            done = subprocess.run(
                argv, cwd=ROOT, env=environment, capture_output=True, timeout=SECONDS
            )
        except subprocess.TimeoutExpired:
            return None
    if done.returncode not in (FAILED, PASSED):
        sys.stderr.buffer.write(done.stdout[-2000:] + done.stderr[-2000:])
    return done.returncode


def remove(guard: Guard, copies: "Queue[Path]") -> str:
    """Return what became of the tests without a guard: caught, or why not.

    Args:
        guard: to remove.
        copies: of src, one for each job.
    """
    copy = copies.get()
    place = copy / "wsol" / guard.file
    whole = place.read_bytes()
    try:
        place.write_text(guard.removed(copy / "wsol"), encoding="utf-8")
        status = run_tests(copy, guard.tests)
    finally:
        place.write_bytes(whole)
        copies.put(copy)
    if status in (FAILED, None):
        return "caught" if status else "caught (hangs)"
    return "NOT CAUGHT" if status == PASSED else f"the tests cannot run: pytest left with {status}"


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
        if given.only in f"{guard.file}: {guard.guard}" and given.promise in guard.promise
    ]
    for guard in guards:
        guard.removed(ROOT / "src/wsol")
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="wsol-source-") as folder:
        copies: Queue[Path] = Queue()
        for number in range(given.jobs):
            copy = Path(folder, str(number))
            # With the machine code, which is long in the making.
            shutil.copytree(ROOT / "src", copy)
            copies.put(copy)
        tests = dict.fromkeys(test for guard in guards for test in guard.tests)
        if not given.no_baseline and run_tests(copies.queue[0], tests) != PASSED:
            sys.stdout.write("the tests fail with all guards in place\n")
            return FAILED
        missed = []
        with ThreadPoolExecutor(given.jobs) as pool:
            found = pool.map(lambda guard: remove(guard, copies), guards)
            for number, (guard, result) in enumerate(zip(guards, found, strict=True), 1):
                line = f"{number}/{len(guards)} {guard.promise}: {guard.guard} ({guard.file})"
                sys.stdout.write(f"{line}: {result}\n")
                sys.stdout.flush()
                if not result.startswith("caught"):
                    missed.append(line)
    caught, minutes = len(guards) - len(missed), (time.monotonic() - begin) / 60
    sys.stdout.write(f"{caught} of {len(guards)} guards caught in {minutes:.0f} minutes\n")
    for line in missed:
        sys.stdout.write(f"not caught: {line}\n")
    return FAILED if missed else PASSED


if __name__ == "__main__":
    sys.exit(main())
