"""Metrics of a run, one row per epoch, as CSV, JSON Lines and optionally TensorBoard."""

import csv
import io
import json
from pathlib import Path
from typing import Any

from wsol._utils.files import write_atomically
from wsol.errors import not_installed

Row = dict[str, float | int | None]


class MetricsLogger:
    """Metric rows of a run; files are rewritten for each row, so resumed runs have no duplicates.

    Args:
        folder: run folder.
        rows: rows of earlier epochs, when resuming.
        tensorboard: also write event files; needs the extra ``tensorboard``.

    Raises:
        ConfigError: TensorBoard is requested but not installed.
    """

    def __init__(self, folder: Path, rows: list[Row], tensorboard: bool = False) -> None:
        """Continue from the given rows."""
        self.folder, self.rows = folder, list(rows)
        self._board = _summary_writer(folder) if tensorboard else None

    def add(self, row: Row) -> None:
        """Add a row and write the files."""
        self.rows.append(row)
        lines = "".join(json.dumps(row) + "\n" for row in self.rows)
        table = io.StringIO()
        writer = csv.DictWriter(table, list(dict.fromkeys(key for row in self.rows for key in row)))
        writer.writeheader()
        writer.writerows(self.rows)
        write_atomically(self.folder / "metrics.jsonl", lambda part: part.write_text(lines))
        write_atomically(
            self.folder / "metrics.csv", lambda part: part.write_text(table.getvalue(), newline="")
        )
        if self._board is not None:
            for key, value in row.items():
                if value is not None:
                    self._board.add_scalar(key, value, row["step"])
            self._board.flush()


def _summary_writer(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise not_installed("TensorBoard", "wsol[tensorboard]") from error
    return SummaryWriter(str(folder / "tensorboard"))


def describe(row: Row, epochs: int) -> str:
    """Return an epoch's metrics as one line.

    >>> describe({"epoch": 1, "loss": 0.5, "train_top1": 90.0, "images_per_second": 9.0}, 2)
    'epoch 1/2: loss 0.500, train_top1 90.0, images_per_second 9.0'
    """
    words = [] if row["loss"] is None else [f"loss {row['loss']:.3f}"]
    for key, value in row.items():
        if key.startswith(("train_", "val_", "images_")) and value is not None:
            words.append(f"{key} {value}" if isinstance(value, int) else f"{key} {value:.1f}")
    if row.get("skipped_steps"):
        words.append(f"skipped_steps {row['skipped_steps']}")
    return f"epoch {row['epoch']}/{epochs}: {', '.join(words)}"
