"""Rows and boxes from CSV files."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from wsol._utils.files import write_atomically
from wsol._utils.names import unescape_name
from wsol.data.annotations.coco import read_coco_boxes
from wsol.data.annotations.types import Box, BoxRow, ImageRow, Row, Size, size_fault
from wsol.data.annotations.voc import VOC_SUFFIX, read_voc_boxes
from wsol.data.annotations.yolo import YOLO_SUFFIXES, find_labels, find_yolo, read_yolo_boxes
from wsol.data.file_index import find_files
from wsol.errors import AnnotationError, DataError


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
"""What other programs call the columns, the preferred name first."""

_OWN_EXPORT: Final = "image_id"
"""What `predictions.csv` calls the image; its texts are escaped and quoted against formulas."""


def read_csv_boxes(path: Path, *, needs_sizes: bool = False) -> Iterator[Row]:
    r"""Yield the rows of a CSV file whose first line names at least `COLUMNS`, in any order.

    The columns may have other usual names, such as those of
    `filename,width,height,class,xmin,ymin,xmax,ymax`, in any case of letters.

    Args:
        path: File in UTF-8, with or without a byte order mark, any line ends. Coordinates are
            pixels of the image as displayed.
            Columns `width` and `height`, if the file has both, are the size of the image.
        needs_sizes: Whether a row is bad whose `width` and `height` are no size; otherwise its
            size is not known.

    Yields:
        A box, an image for a row whose class and coordinates are empty, or the error of a row
        that is neither.

    Raises:
        AnnotationError: If the first line lacks a column.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "boxes.csv")
    ...     _ = file.write_text("filename,class,xmin,ymin,xmax,ymax\na.jpg,crow,1,2,30,40\n")
    ...     [row.box for row in read_csv_boxes(file)]
    [(1.0, 2.0, 30.0, 40.0)]
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
    """Return what the file calls `COLUMNS` and `SIZE_COLUMNS`, or these where it lacks one."""
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            header = [name.strip() for name in next(csv.reader(file), [])]
    except csv.Error:
        # Refused with the rows.
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
        return ImageRow(image)
    try:
        x0, y0, x1, y1 = map(float, numbers[:4])
        size = _size(numbers[4:], needs_size)
    except ValueError as error:
        return AnnotationError(path, line, str(error))
    return BoxRow(image, class_name, (x0, y0, x1, y1), line, size=size)


def _size(fields: Sequence[str], needs_size: bool) -> Size | None:
    if not fields:
        return None
    try:
        size = int(fields[0]), int(fields[1])
        fault = size_fault(size)
        if fault:
            raise ValueError(fault)
    except ValueError:
        if needs_size:
            raise
        return None
    return size


class BoxLine(NamedTuple):
    """One box: the image's path below the data folder, its class, and pixels."""

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

    def write(chunk: Path) -> None:
        with chunk.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
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


BOX_FORMATS = (
    "a .csv file, a .json file of COCO, a folder of .xml files of Pascal VOC, "
    "or a folder of YOLO with data.yaml or classes.txt"
)
"""What boxes are read from, for messages."""


def read_box_file(path: Path, *, needs_sizes: bool = False) -> Iterator[Row]:
    r"""Return the rows of a file or folder of boxes, whatever its format.

    Args:
        path: See `read_csv_boxes`, `read_coco_boxes`, `read_voc_boxes` and `read_yolo_boxes`.
        needs_sizes: Whether a row of a CSV file is bad whose `width` and `height` are no size.

    Returns:
        For each row a box, an image, or the error of a row that is neither; in the order of the
        file, with the sizes of images that the file states.

    Raises:
        AnnotationError: If a file as a whole cannot be used.
        DataError: If there is nothing at `path`, or nothing that is known here.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "boxes.csv")
    ...     _ = file.write_text("image,class,x0,y0,x1,y1\na.jpg,crow,1,2,30,40\n")
    ...     [row.class_name for row in read_box_file(file)]
    ['crow']
    """
    if not path.exists():
        raise DataError(f"{path}: no such file of boxes")
    suffix = path.suffix.lower() if path.is_file() else ""
    if suffix == ".csv":
        return read_csv_boxes(path, needs_sizes=needs_sizes)
    if suffix == ".json":
        return read_coco_boxes(path)
    if is_yolo(path):
        return read_yolo_boxes(path)
    if is_voc(path):
        return read_voc_boxes(path)
    raise DataError(f"{path}: boxes are read from {BOX_FORMATS}")


def is_yolo(path: Path) -> bool:
    """Return whether a path is a YOLO data set, its labels or its YAML file.

    >>> is_yolo(Path("no such folder"))
    False
    """
    if path.is_file():
        return path.suffix.lower() in YOLO_SUFFIXES
    return find_yolo(path) is not None and bool(find_labels(path))


def is_voc(path: Path) -> bool:
    """Return whether a path is a file or a folder of Pascal VOC's annotations.

    >>> is_voc(Path("no such folder"))
    False
    """
    if path.is_file():
        return path.suffix.lower() == VOC_SUFFIX
    return path.is_dir() and bool(find_files(path, {VOC_SUFFIX}))
