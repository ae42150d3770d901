"""Boxes of any format, with the sizes of the images they are on."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from wsol.data.annotations.annotations import BoxAnnotations
from wsol.data.annotations.ground_truth import BoxTable
from wsol.data.annotations.types import ImageRow, OnBad, Row, Size
from wsol.data.box_file import is_yolo, read_box_file
from wsol.data.decode import image_size
from wsol.data.image_names import ImageNames
from wsol.data.images import find_images
from wsol.data.yolo_boxes import yolo_images
from wsol.errors import AnnotationError


def read_box_annotations(
    path: Path, images: Path | None = None, on_bad: OnBad = "fail"
) -> BoxAnnotations:
    r"""Read the images that a file or folder of boxes names, those without boxes too.

    Args:
        path: See `read_box_file`.
        images: Folder of the images, needed where the boxes come without sizes; by default, for
            YOLO, the folder `images` beside the labels. An image is named as `ImageNames` says.
        on_bad: Whether a bad row ends the reading or is skipped with a line in the log.

    Raises:
        AnnotationError: If a row cannot be used.
        DataError: If there is no box, or no size to an image.
        ImageError: If an image whose size is needed cannot be read.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "boxes.csv")
    ...     text = "image,class,x0,y0,x1,y1,width,height\na.jpg,crow,1,2,30,40,60,50\n"
    ...     _ = file.write_text(text)
    ...     annotations = read_box_annotations(file)
    >>> annotations.ids, annotations.boxes[0].tolist(), annotations.size(0)
    (('a.jpg',), [[1.0, 2.0, 30.0, 40.0]], (60, 50))
    """
    table, rows = BoxTable(path, on_bad=on_bad), read_box_file(path, needs_sizes=True)
    if is_yolo(path):
        rows = _in_pixels(path, rows, images or yolo_images(path))
    for row in rows:
        table.add(row)
    return table.annotations(images)


def _in_pixels(path: Path, rows: Iterable[Row], folder: Path) -> Iterator[Row]:
    """Yield rows of fractions as rows of pixels, of images named by their paths in a folder."""
    files = find_images(folder)
    names, known = ImageNames(files), dict[str, tuple[str, Size]]()
    for row in rows:
        if isinstance(row, AnnotationError):
            yield row
        elif isinstance(row, ImageRow):
            match = names.find(row.image)
            if match is None or match.index is None:
                what = "no image" if match is None else "several images"
                yield AnnotationError(
                    path, None, f"{what} {row.image!r} in {folder}; pass --images FOLDER"
                )
                continue
            file = files[match.index]
            known[row.image] = file, image_size(folder / file)
            yield ImageRow(*known[row.image])
        elif row.image in known:
            file, size = known[row.image]
            yield row.in_pixels(size).of(file)
