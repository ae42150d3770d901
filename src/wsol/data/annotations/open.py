"""Open annotations whatever their layout."""

from pathlib import Path

from wsol.data.annotations.annotations import BoxAnnotations, MaskAnnotations
from wsol.data.annotations.ground_truth import read_box_annotations
from wsol.data.annotations.masks import MASK_SUFFIX, read_mask_folder
from wsol.data.annotations.types import OnBad
from wsol.data.annotations.wsolevaluation import IDS, is_metadata, read_metadata
from wsol.data.box_file import BOX_FORMATS, is_voc, is_yolo
from wsol.data.datasets.cub import is_cub, read_cub_annotations
from wsol.data.file_index import find_files
from wsol.errors import DataError


def open_annotations(
    path: Path | str,
    images: Path | str | None = None,
    masks: Path | str | None = None,
    on_bad: OnBad = "fail",
) -> BoxAnnotations | MaskAnnotations:
    r"""Open the ground-truth boxes or masks of images, to measure score maps with.

    Args:
        path: Boxes in any format, see `read_box_file`; or a folder of wsolevaluation's metadata,
            of CUB-200-2011, or of masks as PNG.
        images: Folder of the pictures, where annotations do not state how large they are, and to
            tell which masks belong to which picture.
        masks: Folder that the paths of masks in wsolevaluation's metadata start from.
        on_bad: Whether a bad row of boxes ends the reading or is skipped with a line in the log;
            its image stays.

    Raises:
        AnnotationError: If a row of the annotations cannot be used.
        DataError: If there is nothing at `path`, or nothing that is known here.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "boxes.csv")
    ...     text = "image,class,x0,y0,x1,y1,width,height\na.jpg,crow,1,2,30,40,60,50\n"
    ...     _ = file.write_text(text)
    ...     open_annotations(file).classes
    ('crow',)
    """
    path = Path(path)
    images = None if images is None else Path(images)
    if not path.exists():
        raise DataError(f"{path}: no such file or folder of annotations")
    if path.is_dir() and is_metadata(path):
        return read_metadata(path, images, None if masks is None else Path(masks), on_bad)
    if path.is_dir() and is_cub(path):
        return read_cub_annotations(path)
    if path.is_file() or is_yolo(path) or is_voc(path):
        return read_box_annotations(path, images, on_bad)
    if find_files(path, {MASK_SUFFIX}):
        return read_mask_folder(path, images)
    raise DataError(
        f"{path}: no annotations here: give a folder with {IDS}, the layout of CUB-200-2011, "
        f"masks as {MASK_SUFFIX}, or {BOX_FORMATS}"
    )
