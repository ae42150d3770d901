"""CSV and Parquet: one row for each box, and one for each image without."""

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
from wsol.results.localization import Localization, PredictionInfo

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
"""Name and kind of each column, alike in CSV and Parquet."""


def flat_rows(
    result: Localization, classes: Sequence[str]
) -> Iterator[tuple[str | float | None, ...]]:
    """Yield the rows of one image; what there is not is None.

    Args:
        result: of one image.
        classes: names of all classes.

    >>> import numpy as np
    >>> box = {"boxes": [[0, 0, 4, 2]], "box_scores": [0.5], "box_labels": [0]}
    >>> result = Localization("a.jpg", (8, 6), **{k: np.array(v) for k, v in box.items()})
    >>> list(flat_rows(result, ("cat",)))
    [('a.jpg', 8, 6, 'ok', None, 'cat', 0, 0.5, 0, 0, 4, 2)]
    """
    reason = None if result.error is None else result.error.reason
    image = (result.image_id, *result.original_size, result.status, reason)
    for box, score, label in zip(
        result.boxes.tolist(), result.box_scores.tolist(), result.box_labels.tolist(), strict=True
    ):
        yield (*image, classes[label], label, score, *box)
    if not len(result.boxes):
        yield (*image, *([None] * 7))


class CsvWriter:
    """Writes ``predictions.csv``, whose texts are quoted against formulas (``cells.to_cell``).

    Args:
        folder: to write to; it exists.
        info: has the classes.
    """

    def __init__(self, folder: Path, info: PredictionInfo) -> None:
        """Start with no rows."""
        self.folder, self.info = folder, info
        self.file = CsvFile(folder, tuple(COLUMNS))

    def add(self, result: Localization) -> None:
        """Add one image's rows."""
        for row in flat_rows(result, self.info.names):
            self.file.add([to_cell(cell) if isinstance(cell, str) else cell for cell in row])

    def close(self) -> None:
        """Write the file."""
        self.file.close(self.folder / "predictions.csv")


_TYPES = {str: pa.string(), int: pa.int32(), float: pa.float64()}
_SCHEMA = pa.schema([(name, _TYPES[kind]) for name, kind in COLUMNS.items()])

_ROWS = 10_000
"""In one group."""


class ParquetWriter:
    """Writes ``predictions.parquet``.

    Args:
        folder: to write to; it exists.
        info: has the classes.
    """

    def __init__(self, folder: Path, info: PredictionInfo) -> None:
        """Start with no rows."""
        self.folder, self.info = folder, info
        self.file = nameless_file(self, folder)
        self.writer = pq.ParquetWriter(self.file, _SCHEMA, compression="zstd")
        # One that is given up writes no end to a file that goes.
        weakref.finalize(self, setattr, self.writer, "is_open", False)
        self.rows: list[dict[str, Any]] = []

    def add(self, result: Localization) -> None:
        """Add one image's rows."""
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
