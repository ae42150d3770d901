"""Running commands, and counting what happened to them."""

import csv
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import NamedTuple, NoReturn

import torch

from wsol._utils.names import unescape_name
from wsol.cli.main import main

from .. import forked

SECONDS = int(os.environ.get("WSOL_SECONDS", "120"))
"""After which a command hangs."""

STATUSES = (0, 2, 3, 4)
"""That a command may leave with."""


class Done(NamedTuple):
    """How a command ended."""

    status: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one line of a command that refused its input."""
        lines = [line for line in self.err.splitlines() if line.startswith("wsol: error: ")]
        assert len(lines) == 1, self.err
        return lines[0]


@dataclass
class Tally:
    """What was tried, and what went wrong, over all tests of a session."""

    counts: Counter[str] = field(default_factory=Counter)

    def command(
        self,
        *argv: object,
        patch: str = "",
        fresh: bool = False,
    ) -> Done:
        """Run a command in a process of its own.

        Args:
            argv: its arguments.
            patch: Python to run first.
            fresh: start Python, which is slower than a fork.
        """
        code = f"{patch}\nimport sys\nfrom wsol.cli.main import main\nsys.exit(main(sys.argv[1:]))"
        full = [sys.executable, "-c", code, *map(str, argv)]
        self.counts["commands"] += 1
        try:
            done = (subprocess if fresh else forked).run(
                full,
                capture_output=True,
                timeout=SECONDS,
                env={**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())},
            )
        except subprocess.TimeoutExpired:
            self.counts["hangs"] += 1
            raise
        text = [part.decode("utf-8", "backslashreplace") for part in (done.stdout, done.stderr)]
        return self._checked(Done(done.returncode, *text))

    def inside(self, *argv: object) -> Done:
        """Run a command in this process."""
        self.counts["commands"] += 1
        out, err = StringIO(), StringIO()
        try:
            with redirect_stdout(out), redirect_stderr(err), _at_most(SECONDS):
                status = main(list(map(str, argv)))
        except BaseException as error:
            self.counts["hangs" if isinstance(error, _HangError) else "crashes"] += 1
            raise
        return self._checked(Done(status, out.getvalue(), err.getvalue()))

    def _checked(self, done: Done) -> Done:
        crashed = done.status not in STATUSES or "Traceback" in done.err
        self.counts["crashes"] += crashed
        assert not crashed, (done.status, done.err)
        return done

    def tried(self, number: int) -> None:
        """Count bad inputs."""
        self.counts["bad inputs"] += number

    def rows(self, expected: Iterable[str], found: Iterable[str]) -> None:
        """Compare the names of inputs with those of rows: each once."""
        wanted, got = Counter(list(expected)), Counter(list(found))
        self.counts["lost rows"] += (wanted - got).total()
        self.counts["rows too many"] += (got - wanted).total()
        assert got == wanted

    def unchanged(self, before: dict[Path, str]) -> None:
        """Compare the files of a folder with what they were."""
        changed = [path for path, digest in before.items() if digest_of(path) != digest]
        self.counts["changed inputs"] += len(changed)
        self.counts["inputs compared"] += len(before)
        assert not changed

    def line(self) -> str:
        """Return all figures as one line."""
        known = ("bad inputs", "commands", "inputs compared", "kills")
        wrong = ("crashes", "hangs", "lost rows", "rows too many", "changed inputs")
        return ", ".join(f"{name} {self.counts[name]}" for name in (*known, *wrong))


class _HangError(BaseException):
    """Nothing catches it on its way."""


@contextmanager
def _at_most(seconds: int) -> Iterator[None]:
    """Raise where a block takes longer, also while it waits for a file."""

    def stop(*_: object) -> NoReturn:
        raise _HangError

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file, or where a link leads."""
    if path.is_symlink():
        return f"-> {path.readlink()}"
    return hashlib.sha256(path.read_bytes()).hexdigest()


def digests(folder: Path) -> dict[Path, str]:
    """Return the SHA-256 of each file beneath a folder."""
    return {
        path: digest_of(path) for path in folder.rglob("*") if path.is_symlink() or path.is_file()
    }


def names_below(folder: Path) -> list[str]:
    """Return the relative paths of the files of a folder."""
    return [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]


def coco_rows(out: Path) -> dict[str, dict]:
    """Return the row of each image of COCO's files, by its name."""
    content = read_json(out / "annotations.json")
    rows = content["images"] + content["errors"]
    found = {unescape_name(row["file_name"]): row for row in rows}
    assert len(found) == len(rows)
    return found


def coco_boxes(out: Path) -> dict[str, list[tuple[list[float], float]]]:
    """Return the boxes and scores of each image, by its name."""
    boxes: dict[str, list[tuple[list[float], float]]] = {}
    for row in read_json(out / "predictions.json"):
        boxes.setdefault(unescape_name(row["file_name"]), []).append((row["bbox"], row["score"]))
    return boxes


def read_json(path: Path) -> dict:
    """Return a JSON file in which no number is NaN or infinite."""

    def refuse(word: str) -> None:
        raise AssertionError(f"{path}: {word}")

    return json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)


def read_csv(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, strict=True))


def check_no_nan(out: Path) -> int:
    """Check that no text file beneath a folder has NaN or infinity; return how many were read."""
    number = 0
    for path in out.rglob("*"):
        if path.suffix in (".json", ".csv", ".xml", ".txt", ".jsonl") and path.is_file():
            text = path.read_text(encoding="utf-8")
            assert not re.search(r"(?i)(?<![a-z0-9])-?(nan|inf|infinity)(?![a-z0-9])", text), path
            number += 1
    return number
