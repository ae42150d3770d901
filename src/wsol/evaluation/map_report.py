"""The files of an evaluation of score maps: a row per image, the worst, the curve."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from heapq import heappush, heappushpop
from pathlib import Path
from typing import NamedTuple

from wsol._utils.files import write_atomically
from wsol.evaluation.score_map_metrics import Curve
from wsol.formats.cells import to_cell


class MapRow(NamedTuple):
    """What became of the map of one image.

    Attributes:
        image: the id.
        class_name: None where it is not known.
        status: ``ok``, ``no_object`` (constant or not finite), ``missing``, ``error``, or
            ``no_truth`` (no true box or mask, so not counted).
        score: in percent, or None.
        threshold: where the score is reached, or None.
        message: what is wrong, or empty.
    """

    image: str
    class_name: str | None
    status: str
    score: float | None
    threshold: float | None
    message: str


class Worst:
    """Keeps the rows with the lowest scores, and no others in memory.

    Args:
        count: how many to keep.

    >>> worst = Worst(1)
    >>> for name, score in (("a", 50.0), ("b", 20.0), ("c", 20.0)):
    ...     worst.add(MapRow(name, None, "ok", score, None, ""))
    >>> [row.image for row in worst.rows()]
    ['b']
    """

    def __init__(self, count: int) -> None:
        """Start without rows."""
        self.count = count
        self._seen = 0
        # The heap's first is the best of them, and of equals the last seen.
        self._heap: list[tuple[float, int, MapRow]] = []

    def add(self, row: MapRow) -> None:
        """Keep the row if it is among the worst so far; one without score is not."""
        self._seen += 1
        if row.score is None:
            return
        entry = (-row.score, -self._seen, row)
        if len(self._heap) < self.count:
            heappush(self._heap, entry)
        elif self.count:
            heappushpop(self._heap, entry)

    def rows(self) -> list[MapRow]:
        """Return the rows kept, the worst first."""
        return [row for _, _, row in sorted(self._heap, reverse=True)]


def write_table(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a CSV file row by row, whole or not at all.

    Args:
        path: the file; its folder exists.
        header: names of the columns.
        rows: taken one by one, and None written as an empty field.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_table(Path(folder, "a.csv"), ["id", "score"], [("=1+1", 0.5), ("b", None)])
    ...     Path(folder, "a.csv").read_text().split()
    ['id,score', "'=1+1,0.5", 'b,']
    """

    def write(part: Path) -> None:
        with part.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(header)
            writer.writerows(map(_cells, rows))

    write_atomically(path, write)


def map_header(score_name: str) -> list[str]:
    """Return the names of a map row's columns.

    >>> map_header("best_iou")
    ['image', 'class', 'status', 'best_iou', 'threshold', 'message']
    """
    return ["image", "class", "status", score_name, "threshold", "message"]


def curve_rows(curve: Curve) -> Iterator[list[float]]:
    """Yield the rows of columns of equal length."""
    for row in zip(*(column.tolist() for column in curve.values()), strict=True):
        yield list(row)


def _cells(row: Sequence[object]) -> list[object]:
    return [_cell(value) for value in row]


def _cell(value: object) -> object:
    """Return text as no spreadsheet takes it for a formula, and numbers short."""
    if isinstance(value, str):
        return to_cell(value)
    return round(value, 6) if isinstance(value, float) else value
