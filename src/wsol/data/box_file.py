"""Boxes from files of any format: CSV, COCO, Pascal VOC and YOLO."""

from collections.abc import Iterator
from pathlib import Path

from wsol.data.annotations.coco import read_coco_boxes
from wsol.data.annotations.csv import read_csv_boxes
from wsol.data.annotations.types import Row
from wsol.data.file_index import find_files
from wsol.data.voc_boxes import VOC_SUFFIX, read_voc_boxes
from wsol.data.yolo_boxes import YOLO_SUFFIXES, find_labels, find_yolo, read_yolo_boxes
from wsol.errors import DataError

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
