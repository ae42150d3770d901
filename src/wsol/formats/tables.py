"""CSV: one row a box, and one for each picture without."""

from pathlib import Path

from wsol.formats.cells import CsvFile, to_cell
from wsol.formats.flat import COLUMNS, flat_rows
from wsol.results.about import About
from wsol.results.localization import Localization


class CsvWriter:
    """Writes ``predictions.csv``, whose texts are quoted against formulas (``cells.to_cell``).

    Args:
        folder: to write to; it exists.
        about: has the classes.
    """

    def __init__(self, folder: Path, about: About) -> None:
        """Start with no rows."""
        self.folder, self.about = folder, about
        self.file = CsvFile(folder, tuple(COLUMNS))

    def add(self, result: Localization) -> None:
        """Add one picture's rows."""
        for row in flat_rows(result, self.about.names):
            self.file.add([to_cell(cell) if isinstance(cell, str) else cell for cell in row])

    def close(self) -> None:
        """Write the file."""
        self.file.close(self.folder / "predictions.csv")
