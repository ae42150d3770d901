"""Boxes in a CSV file, one a row."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from wsol.data.box_row import BoxRow, Size, size_fault
from wsol.data.csv_rows import CsvRow, read_csv_rows
from wsol.errors import AnnotationError

COLUMNS: Final = ("image", "class", "x0", "y0", "x1", "y1")
SIZE_COLUMNS: Final = ("width", "height")


def read_csv_boxes(path: Path, *, with_sizes: bool = False) -> Iterator[BoxRow | AnnotationError]:
    r"""Yield the rows of a CSV file whose first line names at least `COLUMNS`, in any order.

    Args:
        path: File in UTF-8, with or without a byte order mark, any line ends. Coordinates are
            pixels of the image as displayed.
        with_sizes: Whether columns `width` and `height`, if the file has both, are the size of
            the image; otherwise they are left alone, as all other columns are.

    Yields:
        A box, or the error of a row that is none.

    Raises:
        AnnotationError: If the first line lacks a column.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "boxes.csv")
    ...     _ = file.write_text("image,class,x0,y0,x1,y1\na.jpg,crow,1,2,30,40\n")
    ...     [row.box for row in read_csv_boxes(file)]
    [(1.0, 2.0, 30.0, 40.0)]
    """
    for row in read_csv_rows(path, COLUMNS, SIZE_COLUMNS if with_sizes else ()):
        yield _row(path, *row) if isinstance(row, CsvRow) else row


def _row(path: Path, line: int, fields: list[str]) -> BoxRow | AnnotationError:
    image, class_name, *numbers = fields
    try:
        x0, y0, x1, y1 = map(float, numbers[:4])
        size = _size(*numbers[4:]) if numbers[4:] else None
    except ValueError as error:
        return AnnotationError(path, line, str(error))
    return BoxRow(image, class_name, (x0, y0, x1, y1), line, size=size)


def _size(width: str, height: str) -> Size:
    size = int(width), int(height)
    fault = size_fault(size)
    if fault:
        raise ValueError(fault)
    return size
