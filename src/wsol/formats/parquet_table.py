"""Parquet: the table of the CSV file, with types and without quoting."""

import shutil
import weakref
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from wsol._utils.files import write_atomically
from wsol._utils.names import portable
from wsol.formats._files import nameless_file
from wsol.formats.flat import COLUMNS, flat_rows
from wsol.results.about import About
from wsol.results.localization import Localization

_TYPES = {str: pa.string(), int: pa.int32(), float: pa.float64()}
_SCHEMA = pa.schema([(name, _TYPES[kind]) for name, kind in COLUMNS.items()])

_ROWS = 10_000
"""In one group."""


class ParquetWriter:
    """Writes ``predictions.parquet``.

    Args:
        folder: to write to; it exists.
        about: has the classes.
    """

    def __init__(self, folder: Path, about: About) -> None:
        """Start with no rows."""
        self.folder, self.about = folder, about
        self.file = nameless_file(self, folder)
        self.writer = pq.ParquetWriter(self.file, _SCHEMA, compression="zstd")
        # One that is given up writes no end to a file that goes.
        weakref.finalize(self, setattr, self.writer, "is_open", False)
        self.rows: list[dict[str, Any]] = []

    def add(self, result: Localization) -> None:
        """Add one picture's rows."""
        for row in flat_rows(result, self.about.names):
            cells = [portable(cell) if isinstance(cell, str) else cell for cell in row]
            self.rows.append(dict(zip(COLUMNS, cells, strict=True)))
        if len(self.rows) >= _ROWS:
            self._write()

    def close(self) -> None:
        """Write the file."""
        self._write()
        self.writer.close()
        self.file.seek(0)

        def write(part: Path) -> None:
            with part.open("wb") as target:
                shutil.copyfileobj(self.file, target, 1 << 20)

        write_atomically(self.folder / "predictions.parquet", write)

    def _write(self) -> None:
        if self.rows:
            self.writer.write_table(pa.Table.from_pylist(self.rows, _SCHEMA))
        self.rows = []
