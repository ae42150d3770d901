"""Data sets laid out as one folder per class."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from wsol.data.box_row import OnBad
from wsol.data.boxes import find_boxes, with_boxes
from wsol.data.images import find_images
from wsol.data.samples import Samples
from wsol.errors import DataError

SPLITS: Final = ("train", "val", "test")

_logger = logging.getLogger("wsol")


def read_folders(
    root: Path | str,
    boxes: Path | str | None = None,
    on_bad: OnBad = "fail",
    *,
    follow_links: bool = False,
) -> dict[str, Samples]:
    """Read a data set of one folder per class, with or without a folder per split above them.

    The layout is `root/{train,val,test}/<class>/**`, of which `train` or `test` must exist, or
    `root/<class>/**`, all of which is `train`. The classes are the sorted folders of `train` (of
    `test` where there is no `train`). Ids are paths below `root`. Images in no class folder,
    and hidden files and folders, are left out.

    Args:
        root: Folder of the data set.
        boxes: File of boxes for any of the images, see `read_boxes`; `boxes.csv` or else
            `boxes.json` in `root` if there is one.
        on_bad: Whether a bad row of boxes ends the reading or is skipped with a line in the log.
        follow_links: Whether to follow symbolic links, see `find_images`.

    Returns:
        The splits that exist, by name.

    Raises:
        DataError: If there are no images, a class folder is empty, or `val` or `test` has a
            class that the classes lack.
        AnnotationError: If a row of boxes, or the file as a whole, cannot be used.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     for name in ("train/crow/a.jpg", "train/wren/b.jpg", "test/wren/c.jpg"):
    ...         Path(folder, name).parent.mkdir(parents=True)
    ...         Path(folder, name).touch()
    ...     splits = read_folders(folder)
    >>> splits["train"].classes, splits["train"].ids
    (('crow', 'wren'), ('train/crow/a.jpg', 'train/wren/b.jpg'))
    >>> splits["test"].labels
    array([1])
    """
    root = Path(root)
    images = find_images(root, follow_links=follow_links)
    if not images:
        raise DataError(f"{root}: no images in this folder")
    names = [name for name in SPLITS if (root / name).is_dir()]
    if names == ["val"]:
        raise DataError(f"{root}: the folder 'val' needs a folder 'train' or 'test' beside it")
    folders = {name: f"{name}/" for name in names} or {"train": ""}
    members = {name: _classes(root, folder, images) for name, folder in folders.items()}
    first = next(name for name in ("train", "test") if name in members)
    classes = tuple(sorted(members[first]))
    splits = {}
    for name, of_class in members.items():
        for extra in sorted(of_class.keys() - set(classes)):
            where = root / folders[name] / extra
            raise DataError(f"{where}: class {extra!r} does not exist in {root / folders[first]}")
        ids = tuple(image for label in classes for image in of_class.get(label, ()))
        counts = [len(of_class.get(label, ())) for label in classes]
        splits[name] = Samples(root, ids, np.repeat(np.arange(len(classes)), counts), classes)
    outside = len(images) - sum(map(len, splits.values()))
    if outside:
        _logger.warning("%s: %d images in no class folder were left out", root, outside)
    boxes = boxes or find_boxes(root)
    return with_boxes(splits, boxes, on_bad) if boxes else splits


def _classes(root: Path, folder: str, images: Sequence[str]) -> dict[str, list[str]]:
    """Return the images of each class folder in `folder`, which is "" or ends in a slash."""
    classes: dict[str, list[str]] = {
        path.name: []
        for path in sorted((root / folder).iterdir())
        if path.is_dir() and not path.name.startswith(".")
    }
    for image in images:
        class_name, slash, _ = image.removeprefix(folder).partition("/")
        if image.startswith(folder) and slash:
            classes[class_name].append(image)
    for class_name, members in classes.items():
        where = root / folder / class_name
        if not members:
            hint = "; links are followed only on request" if where.is_symlink() else ""
            raise DataError(f"{where}: this class folder has no images{hint}")
    if not classes:
        raise DataError(f"{root / folder}: no class folders with images")
    return classes
