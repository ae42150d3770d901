"""Rows of a CSV file, each with its line."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from wsol.errors import AnnotationError


class CsvRow(NamedTuple):
    """One row.

    Attributes:
        line: On which it begins, from 1.
        fields: Those of the wanted columns, in their order.
    """

    line: int
    fields: list[str]


def read_csv_rows(
    path: Path, columns: tuple[str, ...], optional: tuple[str, ...] = ()
) -> Iterator[CsvRow | AnnotationError]:
    r"""Yield the rows of a CSV file whose first line names at least some columns, in any order.

    Args:
        path: File in UTF-8, with or without a byte order mark, any line ends.
        columns: That the file must have. All others are left alone.
        optional: Further ones, read if the file has all of them.

    Yields:
        A row, or the error of one that is none.

    Raises:
        AnnotationError: If the first line lacks a column.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "labels.csv")
    ...     _ = file.write_text("label,image\ncrow,a.jpg\n")
    ...     list(read_csv_rows(file, ("image", "label")))
    [CsvRow(line=2, fields=['a.jpg', 'crow'])]
    """
    # A file name that is not UTF-8 reads as os.fsdecode() gives it, so it still matches.
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        reader = csv.reader(file, strict=True)
        try:
            header = [name.strip() for name in next(reader, [])]
        except csv.Error as error:
            raise AnnotationError(path, 1, str(error)) from error
        wanted = columns + optional if set(optional) <= set(header) else columns
        for name in wanted:
            if header.count(name) != 1:
                expected = ",".join(columns)
                raise AnnotationError(path, 1, f"needs one column {name!r}; expected {expected}")
        places = [header.index(name) for name in wanted]
        while True:
            line = reader.line_num + 1
            try:
                fields = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield AnnotationError(path, line, str(error))
                continue
            if len(fields) == len(header):
                yield CsvRow(line, [fields[place] for place in places])
            elif fields:
                reason = f"{len(fields)} fields where {len(header)} are expected"
                yield AnnotationError(path, line, reason)
