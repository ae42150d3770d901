"""Opening of data sets and annotations of any layout."""

import logging
from collections.abc import Sequence
from pathlib import Path

from wsol.data.annotations.boxes import with_boxes
from wsol.data.annotations.csv import BOX_FORMATS, is_voc, is_yolo
from wsol.data.annotations.ground_truth import read_box_annotations
from wsol.data.annotations.masks import MASK_SUFFIX, read_mask_folder
from wsol.data.annotations.types import BoxAnnotations, MaskAnnotations, OnBad
from wsol.data.annotations.wsolevaluation import IDS, is_metadata, read_metadata
from wsol.data.datasets.cub import is_cub, read_cub, read_cub_annotations
from wsol.data.datasets.folders import read_folders
from wsol.data.datasets.label_table import find_labels, read_labels
from wsol.data.datasets.published_splits import read_splits
from wsol.data.file_index import find_files, list_folders
from wsol.data.names import read_split_folders
from wsol.data.samples import Samples, split_off
from wsol.data.shards.reader import is_sharded, read_shards
from wsol.errors import ConfigError, DataError

_logger = logging.getLogger("wsol")


def open_data(
    root: Path | str,
    *,
    boxes: Path | str | None = None,
    splits: Path | str | None = None,
    labels: Path | str | None = None,
    val_fraction: float = 0.1,
    seed: int = 0,
    on_bad: OnBad = "fail",
    split_folders: Sequence[str] = (),
    follow_links: bool = False,
) -> dict[str, Samples]:
    """Open a data set of any layout, with a `val` split.

    Args:
        root: Folder of the data set, see `read_folders`, `read_labels`, `read_cub` and
            `read_shards`.
        boxes: File of boxes, see `read_boxes`; default: the boxes of the data set.
        splits: Folder of published splits, see `read_splits`; default: the splits of the layout.
        labels: File of labels, any number per image, see `read_labels`; default: `labels.csv` or
            `labels.json` in `root`, otherwise the labels of the layout.
        val_fraction: Fraction of the training images of each class that becomes the split `val` if
            the data set has none; 0 for no such split.
        seed: Random seed of this split.
        on_bad: Whether an unusable row of boxes raises an error or is skipped with a log message.
        split_folders: Split folders: empty or `auto` to detect them, `none` if every folder is a
            class, or `split=folder` for each split; see `read_split_folders`. Only for data sets
            with class folders or a file of labels.
        follow_links: Whether to follow symbolic links, see `find_images`.

    Returns:
        The splits `train`, `val` and `test` that have images, by name.

    Raises:
        DataError: If the folder does not exist or is not a valid data set.
        AnnotationError: If an annotation cannot be used.
        ConfigError: If `val_fraction` is negative or not below 1, both `splits` and `labels` are
            set, or `split_folders` is not valid.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     Path(folder, "crow").mkdir()
    ...     for i in range(10):
    ...         Path(folder, f"crow/{i}.jpg").touch()
    ...     {name: len(samples) for name, samples in open_data(folder).items()}
    {'train': 9, 'val': 1}
    """
    root = Path(root)
    if not root.is_dir():
        raise DataError(f"{root}: no such folder; use the folder of a data set")
    if splits and labels:
        raise ConfigError("splits and labels cannot be combined; use one of them")
    labels = labels or (None if splits or is_cub(root) else find_labels(root))
    fixed = not labels and (bool(splits) or is_cub(root) or is_sharded(root))
    if fixed and read_split_folders(split_folders) is not None:
        raise ConfigError(
            f"{root}: the splits are in lists or tar files, not in folders; leave out "
            "--split_folders"
        )
    if labels:
        found = read_labels(
            root, labels, boxes, on_bad, split_folders=split_folders, follow_links=follow_links
        )
    elif fixed:
        if splits:
            found = read_splits(root, splits, follow_links=follow_links)
        else:
            read = read_cub if is_cub(root) else read_shards
            found = read(root, follow_links=follow_links)
        found = with_boxes(found, boxes, on_bad) if boxes else found
    else:
        _refuse_above(root)
        found = read_folders(
            root, boxes, on_bad, split_folders=split_folders, follow_links=follow_links
        )
    if "val" not in found and "train" in found and val_fraction != 0:
        rest, val = split_off(found["train"], val_fraction, seed)
        if len(val):
            _logger.info(
                "%s: no val split; using %d of the %d training images as val, with seed %d",
                root,
                len(val),
                len(found["train"]),
                seed,
            )
            found = {"train": rest, "val": val} | {k: v for k, v in found.items() if k == "test"}
    return found


def _refuse_above(root: Path) -> None:
    """Raise an error if the only subfolder is a data set, which would become a class."""
    folders = list_folders(root)
    if len(folders) == 1:
        (inner,) = folders
        if is_cub(inner) or find_labels(inner) or is_sharded(inner):
            raise DataError(f"{root}: {inner.name!r} is a data set, not a class; use {inner}")


def open_annotations(
    path: Path | str,
    images: Path | str | None = None,
    masks: Path | str | None = None,
    on_bad: OnBad = "fail",
) -> BoxAnnotations | MaskAnnotations:
    r"""Open the ground-truth boxes or masks of images, to evaluate score maps.

    Args:
        path: Boxes in any format, see `read_box_file`; or a folder of wsolevaluation's metadata,
            of CUB-200-2011, or of PNG masks.
        images: Folder of the images, for annotations without image sizes, and to assign masks to
            images.
        masks: Folder that the paths of masks in wsolevaluation's metadata are relative to.
        on_bad: Whether an unusable row of boxes raises an error or is skipped with a log message;
            its image is kept.

    Raises:
        AnnotationError: If a row of the annotations cannot be used.
        DataError: If `path` does not exist, or contains no known annotations.

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
        raise DataError(f"{path}: no such file or folder of annotations; check the path")
    if path.is_dir() and is_metadata(path):
        return read_metadata(path, images, None if masks is None else Path(masks), on_bad)
    if path.is_dir() and is_cub(path):
        return read_cub_annotations(path)
    if path.is_file() or is_yolo(path) or is_voc(path):
        return read_box_annotations(path, images, on_bad)
    if find_files(path, {MASK_SUFFIX}):
        return read_mask_folder(path, images)
    raise DataError(
        f"{path}: no annotations found; use a folder with {IDS}, the layout of CUB-200-2011, "
        f"masks as {MASK_SUFFIX}, or {BOX_FORMATS}"
    )
