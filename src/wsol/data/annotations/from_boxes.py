"""Boxes in a CSV or a COCO file, with the sizes of the images they are on."""

from pathlib import Path
from typing import Any

from wsol.data.annotations.annotations import BoxAnnotations
from wsol.data.annotations.box_table import BoxTable
from wsol.data.box_row import OnBad, Size, size_fault
from wsol.data.coco_boxes import coco_rows
from wsol.data.coco_file import load_coco
from wsol.data.csv_boxes import read_csv_boxes
from wsol.errors import AnnotationError


def read_csv_annotations(
    path: Path, images: Path | None = None, on_bad: OnBad = "fail"
) -> BoxAnnotations:
    r"""Read the images that a CSV file has boxes for.

    Args:
        path: File with the columns `image,class,x0,y0,x1,y1`, see `read_csv_boxes`, and
            optionally `width,height` of the image in pixels.
        images: Folder of the pictures, needed where the file has no sizes. An image is named by
            the path below it, or by the end of that path where it fits one picture only.
        on_bad: Whether a bad row ends the reading or is skipped with a line in the log.

    Raises:
        AnnotationError: If a row cannot be used.
        DataError: If there is no box, or no size to an image.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "boxes.csv")
    ...     text = "image,class,x0,y0,x1,y1,width,height\na.jpg,crow,1,2,30,40,60,50\n"
    ...     _ = file.write_text(text)
    ...     annotations = read_csv_annotations(file)
    >>> annotations.ids, annotations.boxes[0].tolist(), annotations.size(0)
    (('a.jpg',), [[1.0, 2.0, 30.0, 40.0]], (60, 50))
    """
    table = BoxTable(path, on_bad=on_bad)
    for row in read_csv_boxes(path, with_sizes=True):
        table.add(row)
    return table.annotations(images)


def read_coco_annotations(
    path: Path, images: Path | None = None, on_bad: OnBad = "fail"
) -> BoxAnnotations:
    """Read the images of a COCO file, those without boxes too.

    Args:
        path: JSON file, see `read_coco_boxes`; its images state `width` and `height`.
        images: Folder of the pictures, needed where the file has no sizes.
        on_bad: Whether a bad annotation ends the reading or is skipped with a line in the log.

    Raises:
        AnnotationError: If an entry cannot be used.
        DataError: If there is no box, or no size to an image.

    >>> from json import dumps
    >>> from tempfile import TemporaryDirectory
    >>> coco = {
    ...     "images": [{"id": 7, "file_name": "a.jpg", "width": 60, "height": 50}],
    ...     "categories": [{"id": 3, "name": "crow"}],
    ...     "annotations": [{"id": 1, "image_id": 7, "category_id": 3, "bbox": [1, 2, 29, 38]}],
    ... }
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "boxes.json")
    ...     _ = file.write_text(dumps(coco))
    ...     annotations = read_coco_annotations(file)
    >>> annotations.classes, annotations.boxes[0].tolist(), annotations.size(0)
    (('crow',), [[1.0, 2.0, 30.0, 40.0]], (60, 50))
    """
    table, lists = BoxTable(path, on_bad=on_bad), load_coco(path)
    for place, entry in enumerate(lists["images"]):
        name = entry.get("file_name") if isinstance(entry, dict) else None
        if not isinstance(name, str):
            # Refused with the rows below.
            continue
        if name in table.boxes:
            raise AnnotationError(path, None, f"images[{place}]: {name!r} comes twice")
        table.add_image(name, None, _size(path, place, entry))
    for row in coco_rows(path, lists):
        table.add(row)
    return table.annotations(images)


def _size(path: Path, place: int, entry: dict[str, Any]) -> Size | None:
    width, height = entry.get("width"), entry.get("height")
    if width is None and height is None:
        return None
    if not (isinstance(width, int) and isinstance(height, int)):
        raise AnnotationError(path, None, f"images[{place}]: width and height must be whole")
    fault = size_fault((width, height))
    if fault:
        raise AnnotationError(path, None, f"images[{place}]: {fault}")
    return width, height
