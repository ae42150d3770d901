"""A run's figures: every row once, in both files, after any number of resumes."""

import csv
import json
import sys
from pathlib import Path

import pytest

from wsol.errors import ConfigError
from wsol.training.logger import MetricsLogger, Row

ROWS: list[Row] = [
    {"epoch": 1, "step": 4, "loss": 0.5},
    {"epoch": 2, "step": 8, "loss": 0.25, "val_top1_cls": 50.0},
    {"epoch": 3, "step": 12, "loss": 0.125, "val_top1_cls": None},
]


def read_lines(folder: Path) -> list[Row]:
    """Return the rows of the JSON Lines file."""
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def read_table(folder: Path) -> list[dict[str, str]]:
    """Return the rows of the CSV file."""
    with (folder / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_both_files_hold_every_row_so_far(tmp_path: Path) -> None:
    """After each row both files are whole, and a figure that comes later has its column."""
    log = MetricsLogger(tmp_path, [])
    for count, row in enumerate(ROWS, start=1):
        log.add(row)
        assert read_lines(tmp_path) == ROWS[:count]
        assert [float(line["loss"]) for line in read_table(tmp_path)] == [0.5, 0.25, 0.125][:count]
    assert [line["val_top1_cls"] for line in read_table(tmp_path)] == ["", "50.0", ""]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["metrics.csv", "metrics.jsonl"]


def test_a_resumed_run_has_no_row_twice(tmp_path: Path) -> None:
    """Rows after the checkpoint are replaced, those before are kept."""
    first = MetricsLogger(tmp_path, [])
    for row in ROWS:
        first.add(row)
    second = MetricsLogger(tmp_path, ROWS[:1])
    second.add({"epoch": 2, "step": 8, "loss": 0.75})
    assert read_lines(tmp_path) == [ROWS[0], {"epoch": 2, "step": 8, "loss": 0.75}]
    assert [line["epoch"] for line in read_table(tmp_path)] == ["1", "2"]


def test_the_callers_rows_are_not_changed(tmp_path: Path) -> None:
    """The list that a log starts from stays as it was."""
    rows = ROWS[:1]
    MetricsLogger(tmp_path, rows).add(ROWS[1])
    assert len(rows) == 1


def test_tensorboard_that_is_missing_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked for and not installed, TensorBoard is an error that says what to install."""
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ConfigError, match=r"pip install .wsol\[tensorboard\]"):
        MetricsLogger(tmp_path, [], tensorboard=True)


def test_tensorboard_gets_every_figure(tmp_path: Path) -> None:
    """Event files hold each figure at its step, and nothing where it is unknown."""
    reader = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="no tensorboard"
    )
    log = MetricsLogger(tmp_path, [], tensorboard=True)
    for row in ROWS:
        log.add(row)
    log._board.close()
    events = reader.EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [(e.step, e.value) for e in events.Scalars("loss")] == [(4, 0.5), (8, 0.25), (12, 0.125)]
    assert [(e.step, e.value) for e in events.Scalars("val_top1_cls")] == [(8, 50.0)]
