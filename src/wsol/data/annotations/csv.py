"""Readers of rows and boxes in CSV files, and of boxes in any format."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from wsol._utils.files import write_atomically
from wsol._utils.names import unescape_name
from wsol.data.annotations.coco import read_coco_boxes
from wsol.data.annotations.types import Box, BoxRow, ImageRow, Row, Size, parse_size
from wsol.data.annotations.voc import VOC_SUFFIX, read_voc_boxes
from wsol.data.annotations.yolo import YOLO_SUFFIXES, find_labels, find_yolo, read_yolo_boxes
from wsol.data.file_index import find_files
from wsol.errors import AnnotationError, DataError


class CsvRow(NamedTuple):
    """Row of a CSV file: its first line, from 1, and the requested fields in their order."""

    line: int
    fields: list[str]


def read_csv_rows(
    path: Path, columns: tuple[str, ...], optional: tuple[str, ...] = ()
) -> Iterator[CsvRow | AnnotationError]:
    """Yield the rows of a CSV file with a header, or the errors of invalid rows.

    The file is in UTF-8, with or without a byte order mark, with any line ends and any order of
    columns. `optional` columns are read if the file has all of them; others are ignored.

    Raises:
        AnnotationError: If the first line lacks a column.
    """
    # A file name that is not UTF-8 reads as os.fsdecode() gives it, so it still matches.
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        reader = csv.reader(file, strict=True)
        try:
            header = [name.strip() for name in next(reader, [])]
        except csv.Error as error:
            raise AnnotationError(path, 1, str(error)) from error
        requested = columns + optional if set(optional) <= set(header) else columns
        for name in requested:
            if header.count(name) != 1:
                expected = ",".join(columns)
                raise AnnotationError(path, 1, f"needs one column {name!r}; expected {expected}")
        places = [header.index(name) for name in requested]
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
                reason = f"{len(fields)} fields instead of {len(header)}"
                yield AnnotationError(path, line, reason)


COLUMNS: Final = ("image", "class", "x0", "y0", "x1", "y1")
SIZE_COLUMNS: Final = ("width", "height")

_IMAGE: Final = ("image", "filename", "file_name", "image_id", "image_path", "path")
_CLASS: Final = ("class", "label", "class_name", "category")
_CORNERS: Final = (
    ("x0", "y0", "x1", "y1"),
    ("xmin", "ymin", "xmax", "ymax"),
    ("x_min", "y_min", "x_max", "y_max"),
    ("x1", "y1", "x2", "y2"),
)
"""Column names of other programs, preferred names first."""

_OWN_EXPORT: Final = "image_id"
"""Image column of `predictions.csv`, whose texts are escaped and quoted against formulas."""


def read_csv_boxes(path: Path, *, needs_sizes: bool = False) -> Iterator[Row]:
    """Yield the rows of a CSV file with at least the columns `COLUMNS`, in any order.

    The columns may have other common names, such as
    `filename,width,height,class,xmin,ymin,xmax,ymax`, ignoring case. A row with empty class and
    coordinates is an image. Optional columns `width` and `height` are the size of the image; with
    `needs_sizes`, a row with an invalid size is bad, otherwise its size is unknown.

    Raises:
        AnnotationError: If the first line lacks a column.
    """
    columns, sizes = _columns(path)
    for row in read_csv_rows(path, columns, sizes):
        if isinstance(row, AnnotationError):
            yield row
        elif columns[0].lower() == _OWN_EXPORT:
            names = (unescape_name(text.removeprefix("'")) for text in row.fields[:2])
            yield _row(path, row.line, [*names, *row.fields[2:]], needs_sizes)
        else:
            yield _row(path, row.line, row.fields, needs_sizes)


def _columns(path: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of `COLUMNS` and `SIZE_COLUMNS` in the file, or these if one is missing."""
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            header = [name.strip() for name in next(csv.reader(file), [])]
    except csv.Error:
        # The error is raised with the rows.
        return COLUMNS, SIZE_COLUMNS
    spelled = {name.lower(): name for name in reversed(header)}
    image = next((spelled[name] for name in _IMAGE if name in spelled), COLUMNS[0])
    class_name = next((spelled[name] for name in _CLASS if name in spelled), COLUMNS[1])
    corners = next((names for names in _CORNERS if spelled.keys() >= set(names)), COLUMNS[2:])
    columns = (image, class_name, *(spelled.get(name, name) for name in corners))
    return columns, tuple(spelled.get(name, name) for name in SIZE_COLUMNS)


def _row(path: Path, line: int, fields: Sequence[str], needs_size: bool) -> Row:
    image, class_name, *numbers = fields
    if not class_name and not any(numbers[:4]):
        return ImageRow(path, image, line)
    try:
        x0, y0, x1, y1 = map(float, numbers[:4])
        size = _size(numbers[4:], needs_size)
    except ValueError as error:
        return AnnotationError(path, line, str(error))
    return BoxRow(path, image, line, size=size, class_name=class_name, box=(x0, y0, x1, y1))


def _size(fields: Sequence[str], needs_size: bool) -> Size | None:
    if not fields:
        return None
    try:
        return parse_size(*fields)
    except ValueError:
        if needs_size:
            raise
        return None


class BoxLine(NamedTuple):
    """Row of a file of boxes: path of the image below the data folder, class, box and size."""

    image: str
    class_name: str
    box: Box
    size: Size


def write_boxes(path: Path, lines: Iterable[BoxLine]) -> None:
    """Write a file of boxes atomically."""

    def write(chunk: Path) -> None:
        with chunk.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(COLUMNS + SIZE_COLUMNS)
            for line in lines:
                numbers = [f"{value:.17g}" for value in line.box]
                writer.writerow([line.image, line.class_name, *numbers, *line.size])

    write_atomically(path, write)


def read_boxes_below(path: Path, folder: str) -> list[BoxLine]:
    """Return the rows of a file of boxes, if it exists, whose image names begin with a prefix."""
    if not path.is_file():
        return []
    return [
        BoxLine(row.image, row.class_name, row.box, row.size)
        for row in read_csv_boxes(path, needs_sizes=True)
        if isinstance(row, BoxRow) and row.size and row.image.startswith(folder)
    ]


BOX_FORMATS = (
    "a .csv file, a .json file of COCO, a folder of .xml files of Pascal VOC, "
    "or a folder of YOLO with data.yaml or classes.txt"
)
"""Supported formats of boxes, for messages."""


def read_box_file(path: Path, *, needs_sizes: bool = False) -> Iterator[Row]:
    """Return the rows of a file or folder of boxes in any format, see its readers.

    `needs_sizes` is that of `read_csv_boxes`.

    Raises:
        AnnotationError: If a file as a whole cannot be used.
        DataError: If `path` does not exist, or its format is unknown.
    """
    if not path.exists():
        raise DataError(f"{path}: no such file of boxes; check the path")
    suffix = path.suffix.lower() if path.is_file() else ""
    if suffix == ".csv":
        return read_csv_boxes(path, needs_sizes=needs_sizes)
    if suffix == ".json":
        return read_coco_boxes(path)
    if is_yolo(path):
        return read_yolo_boxes(path)
    if is_voc(path):
        return read_voc_boxes(path)
    raise DataError(f"{path}: unknown format of boxes; use {BOX_FORMATS}")


def is_yolo(path: Path) -> bool:
    """Return whether a path is a YOLO data set, its labels or its YAML file."""
    if path.is_file():
        return path.suffix.lower() in YOLO_SUFFIXES
    return find_yolo(path) is not None and bool(find_labels(path))


def is_voc(path: Path) -> bool:
    """Return whether a path is a file or folder of Pascal VOC annotations."""
    if path.is_file():
        return path.suffix.lower() == VOC_SUFFIX
    return path.is_dir() and bool(find_files(path, {VOC_SUFFIX}))
