"""CSV and Parquet tables, with one row per box, and one per image without boxes."""

import shutil
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from wsol._utils.files import write_atomically
from wsol._utils.names import escape_name
from wsol.formats._files import CsvFile, nameless_file, to_cell
from wsol.results.localization import Localization, PredictionInfo, box_rows

COLUMNS = {
    "image_id": str,
    "width": int,
    "height": int,
    "status": str,
    "error": str,
    "label": str,
    "class_index": int,
    "score": float,
    "x0": float,
    "y0": float,
    "x1": float,
    "y1": float,
}
"""Type of each column in CSV and Parquet."""


def flat_rows(
    result: Localization, classes: Sequence[str]
) -> Iterator[tuple[str | float | None, ...]]:
    """Yield the rows of an image, with None for missing values."""
    reason = None if result.error is None else result.error.reason
    image = (result.image_id, *result.original_size, result.status, reason)
    for box, score, label in box_rows(result):
        yield (*image, classes[label], label, score, *box)
    if not len(result.boxes):
        yield (*image, *([None] * 7))


class CsvWriter:
    """Writes ``predictions.csv``, whose texts are quoted against formulas (``to_cell``).

    Args:
        folder: existing output folder.
        info: information on the prediction, with the classes.
    """

    def __init__(self, folder: Path, info: PredictionInfo) -> None:
        """Create an empty table."""
        self.folder, self.info = folder, info
        self.file = CsvFile(folder, tuple(COLUMNS))

    def add(self, result: Localization) -> None:
        """Add the rows of an image."""
        for row in flat_rows(result, self.info.names):
            self.file.add([to_cell(cell) if isinstance(cell, str) else cell for cell in row])

    def close(self) -> None:
        """Write the file."""
        self.file.close(self.folder / "predictions.csv")


_TYPES = {str: pa.string(), int: pa.int32(), float: pa.float64()}
_SCHEMA = pa.schema([(name, _TYPES[kind]) for name, kind in COLUMNS.items()])

_ROWS = 10_000
"""Rows per row group."""


class ParquetWriter:
    """Writes ``predictions.parquet``.

    Args:
        folder: existing output folder.
        info: information on the prediction, with the classes.
    """

    def __init__(self, folder: Path, info: PredictionInfo) -> None:
        """Create an empty table."""
        self.folder, self.info = folder, info
        self.file = nameless_file(self, folder)
        self.writer = pq.ParquetWriter(self.file, _SCHEMA, compression="zstd")
        # Keeps an abandoned writer from writing the footer to a closed file.
        weakref.finalize(self, setattr, self.writer, "is_open", False)
        self.rows: list[dict[str, Any]] = []

    def add(self, result: Localization) -> None:
        """Add the rows of an image."""
        for row in flat_rows(result, self.info.names):
            cells = [escape_name(cell) if isinstance(cell, str) else cell for cell in row]
            self.rows.append(dict(zip(COLUMNS, cells, strict=True)))
        if len(self.rows) >= _ROWS:
            self._write()

    def close(self) -> None:
        """Write the file."""
        self._write()
        self.writer.close()
        self.file.seek(0)

        def write(chunk: Path) -> None:
            with chunk.open("wb") as target:
                shutil.copyfileobj(self.file, target, 1 << 20)

        write_atomically(self.folder / "predictions.parquet", write)

    def _write(self) -> None:
        if self.rows:
            self.writer.write_table(pa.Table.from_pylist(self.rows, _SCHEMA))
        self.rows = []
