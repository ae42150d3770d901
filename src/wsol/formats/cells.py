"""CSV files that a spreadsheet may open."""

import csv
from collections.abc import Sequence
from pathlib import Path

from wsol._utils.files import write_atomically
from wsol._utils.names import original, portable
from wsol.formats._files import Spool

_QUOTED = ("=", "+", "-", "@", "'", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What a formula begins with, also as the wide signs of East Asian fonts, and the mark itself."""


def to_cell(text: str) -> str:
    """Return a text as a cell that no spreadsheet takes for a formula.

    It is made ``portable``, which leaves no tab nor line break, and gets a ``'`` in front where
    it begins with ``=``, ``+``, ``-``, ``@`` or ``'``.

    Args:
        text: of any kind.

    >>> to_cell("=cmd|x.jpg"), to_cell("a=b.jpg")
    ("'=cmd|x.jpg", 'a=b.jpg')
    """
    return inert(portable(text))


def inert(cell: str) -> str:
    """Return a text that is ``portable`` already as a cell that is no formula.

    >>> inert("=a%0A.png")
    "'=a%0A.png"
    """
    return f"'{cell}" if cell.startswith(_QUOTED) else cell


def from_cell(cell: str) -> str:
    """Return the text that ``to_cell`` was given.

    >>> from_cell("'=cmd|x.jpg")
    '=cmd|x.jpg'
    """
    return original(cell.removeprefix("'"))


class CsvFile:
    """A CSV file in UTF-8 that is written row by row: texts are quoted, numbers are not.

    Args:
        folder: on whose disk the rows wait.
        columns: names.
    """

    def __init__(self, folder: Path, columns: Sequence[str]) -> None:
        """Write the first line."""
        self.spool = Spool(folder)
        self.writer = csv.writer(self.spool.file, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
        self.writer.writerow(columns)

    def add(self, row: Sequence[str | float | None]) -> None:
        """Append a row, whose texts are cells already; None is an empty cell."""
        self.writer.writerow(row)

    def close(self, path: Path) -> None:
        """Write the file, whole or not at all."""

        def write(part: Path) -> None:
            with part.open("w", encoding="utf-8", newline="") as file:
                self.spool.copy_to(file)

        write_atomically(path, write)
