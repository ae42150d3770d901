"""Writing `boxes.csv` as `open_data` and `wsol evaluate --annotations` read it."""

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from wsol._utils.files import write_atomically
from wsol.data.annotations.csv_boxes import COLUMNS, SIZE_COLUMNS, read_csv_boxes
from wsol.data.annotations.types import Box, BoxRow, Size


class BoxLine(NamedTuple):
    """One box: the picture's path below the data folder, its class, and pixels."""

    image: str
    class_name: str
    box: Box
    size: Size


def write_boxes(path: Path, lines: Iterable[BoxLine]) -> None:
    """Write a file of boxes, whole or not at all.

    Args:
        path: The file.
        lines: Its rows.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "boxes.csv")
    ...     write_boxes(file, [BoxLine("test/n01/a.JPEG", "n01", (1.0, 2.0, 3.0, 4.5), (8, 6))])
    ...     file.read_text().splitlines()[1]
    'test/n01/a.JPEG,n01,1,2,3,4.5,8,6'
    """

    def write(part: Path) -> None:
        with part.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(COLUMNS + SIZE_COLUMNS)
            for line in lines:
                numbers = [f"{value:.17g}" for value in line.box]
                writer.writerow([line.image, line.class_name, *numbers, *line.size])

    write_atomically(path, write)


def read_boxes_below(path: Path, folder: str) -> list[BoxLine]:
    """Return the rows that an earlier preparation has written for one split.

    Args:
        path: The file; may not exist.
        folder: What the names of its images begin with.

    >>> read_boxes_below(Path("no such file"), "val/")
    []
    """
    if not path.is_file():
        return []
    return [
        BoxLine(row.image, row.class_name, row.box, row.size)
        for row in read_csv_boxes(path, needs_sizes=True)
        if isinstance(row, BoxRow) and row.size and row.image.startswith(folder)
    ]
