"""Reader of data sets with labels in a file, including multi-label data sets."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from wsol.data.annotations.boxes import find_boxes, with_boxes
from wsol.data.annotations.coco import coco_names, link_fault, load_coco
from wsol.data.annotations.csv import read_csv_rows
from wsol.data.annotations.matching import match_rows
from wsol.data.annotations.types import LabelRow, OnBad
from wsol.data.images import find_images
from wsol.data.names import SPLITS, ListedNames, class_fault, read_split_folders, split_of
from wsol.data.samples import Samples
from wsol.errors import AnnotationError, DataError, did_you_mean

_logger = logging.getLogger("wsol")


_Labelled = dict[str, list[LabelRow]]
"""Rows by image, in the order of the file."""


def find_labels(root: Path) -> Path | None:
    """Return `labels.csv`, otherwise `labels.json` in the folder of a data set, or None."""
    files = (root / name for name in ("labels.csv", "labels.json"))
    return next((file for file in files if file.is_file()), None)


def read_labels(
    root: Path | str,
    labels: Path | str,
    boxes: Path | str | None = None,
    on_bad: OnBad = "fail",
    *,
    split_folders: Sequence[str] = (),
    follow_links: bool = False,
) -> dict[str, Samples]:
    r"""Read a data set with labels in a file, with any number of labels per image.

    Image names are paths below `root`, or unique ends of them after a slash; surrounding whitespace
    is ignored if no image has it. The split of an image is that in the file, otherwise that of the
    first folder of its path if it is named after a split (see `split_of`), otherwise `train`. The
    classes are the sorted labels of `train` (of `test` without `train`). Images without a label are
    left out with a log message. Duplicate rows are ignored.

    Args:
        root: Folder of the images, in any layout.
        labels: CSV file with the columns `image,label`, one row per label, and optionally `split`;
            or COCO JSON file with the lists `images` (`id`, `file_name`), `categories` (`id`,
            `name`) and `annotations` (`image_id`, `category_id`), whose boxes are ignored.
        boxes: File of boxes, see `read_boxes`; default: `boxes.csv`, otherwise `boxes.json` in
            `root`, if one exists.
        on_bad: Whether a bad row of boxes raises an error or is skipped with a log message.
        split_folders: Split folders, see `read_split_folders`.
        follow_links: Whether to follow symbolic links, see `find_images`.

    Returns:
        The splits that have images, by name, with images in the order of the file. If no image of
        any split is multi-label, they have the form of `read_folders`.

    Raises:
        AnnotationError: If a row, or a file as a whole, cannot be used, or an image is missing.
        DataError: If the file does not exist, its suffix is unknown, or it has no labels.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "labels.csv")
    ...     _ = file.write_text("image,label\na.jpg,wren\na.jpg,crow\nb.jpg,wren\n")
    ...     for name in ("a.jpg", "b.jpg"):
    ...         Path(folder, name).touch()
    ...     train = read_labels(folder, file)["train"]
    >>> train.ids, train.classes, train.labels, [own.tolist() for own in train.label_sets]
    (('a.jpg', 'b.jpg'), ('crow', 'wren'), array([1, 1]), [[0, 1], [1]])
    """
    root, labels = Path(root), Path(labels)
    rows = read_label_rows(labels)
    images = find_images(root, follow_links=follow_links)
    by_split = _by_split(root, images, rows, read_split_folders(split_folders))
    _log_folders(root, by_split)
    if not by_split:
        raise DataError(f"{labels}: contains no labels; add a row for each label")
    if list(by_split) == ["val"]:
        raise DataError(f"{labels}: has only the split 'val'; add a split 'train' or 'test'")
    left_out = len(images) - sum(map(len, by_split.values()))
    if left_out:
        _logger.warning("%s: left out %d images without a label", root, left_out)
    splits = _samples(root, by_split)
    boxes = boxes or find_boxes(root)
    return with_boxes(splits, boxes, on_bad) if boxes else splits


def read_label_rows(path: Path) -> Iterator[LabelRow]:
    """Return the rows of a file of labels, see `read_labels`, in their order.

    Raises:
        AnnotationError: If a row, or the file as a whole, cannot be used.
        DataError: If the file does not exist, or its suffix is unknown.
    """
    read = _READERS.get(path.suffix.lower())
    if read is None:
        raise DataError(f"{path}: unknown format of labels; use a {' or '.join(_READERS)} file")
    if not path.is_file():
        raise DataError(f"{path}: no such file of labels; check the path")
    return map(_checked, read(path))


def _checked(row: LabelRow) -> LabelRow:
    """Raise the error of a row whose label is not valid."""
    if fault := class_fault(row.class_name):
        raise row.bad(f"the label {row.class_name!r} of {row.image!r} {fault}")
    return row


def _csv_labels(path: Path) -> Iterator[LabelRow]:
    for row in read_csv_rows(path, ("image", "label"), ("split",)):
        if isinstance(row, AnnotationError):
            raise row
        image, label, *splits = row.fields
        split = splits[0].strip() if splits else None
        yield LabelRow(path, image, row.line, class_name=label, split=split)


def _coco_labels(path: Path) -> Iterator[LabelRow]:
    lists = load_coco(path)
    images, categories, faults = coco_names(path, lists)
    for fault in faults:
        raise fault
    for place, entry in enumerate(lists["annotations"]):
        item = f"annotations[{place}]: "
        wrong = (
            link_fault(entry, images, categories) if isinstance(entry, dict) else "is not an object"
        )
        if wrong:
            raise AnnotationError(path, None, item + wrong)
        image, label = images[entry["image_id"]], categories[entry["category_id"]]
        yield LabelRow(path, image, item=item, class_name=label)


_READERS: Final[dict[str, Callable[[Path], Iterator[LabelRow]]]] = {
    ".csv": _csv_labels,
    ".json": _coco_labels,
}


def _by_split(
    root: Path,
    images: Sequence[str],
    rows: Iterator[LabelRow],
    folders: Mapping[str, str] | None,
) -> Mapping[str, _Labelled]:
    """Return the rows of each image by split, in the order of `SPLITS`."""

    def split(row: LabelRow, index: int) -> str:
        return _folder_split(images[index], folders) if row.split is None else row.split

    def check(row: LabelRow, index: int, earlier: list[LabelRow]) -> LabelRow:
        own = split(row, index)
        if own not in SPLITS:
            raise row.bad(f"no split {own!r}; {did_you_mean(own, SPLITS)}")
        if earlier and split(earlier[0], index) != own:
            first = split(earlier[0], index)
            raise row.bad(f"{row.image!r} is already in the split {first!r}")
        return row

    matched = match_rows(rows, ListedNames(images), check=check)
    matched.refuse_unknown(where=root)
    found: dict[str, _Labelled] = {name: {} for name in SPLITS}
    for index, of_image in matched.of_image.items():
        found[split(of_image[0], index)][images[index]] = of_image
    return {name: members for name, members in found.items() if members}


def _folder_split(image: str, folders: Mapping[str, str] | None) -> str:
    """Return the split of an image by its first folder; without `folders`, by the folder's name."""
    first, slash, _ = image.partition("/")
    if not slash:
        return "train"
    split = split_of(first) if folders is None else folders.get(first)
    return split or "train"


def _log_folders(root: Path, by_split: Mapping[str, _Labelled]) -> None:
    """Log the split of each split folder."""
    found = {
        (image.partition("/")[0], split)
        for split, members in by_split.items()
        for image, rows in members.items()
        if "/" in image and rows[0].split is None
    }
    splits = sorted((folder, split) for folder, split in found if split != "train")
    if splits:
        meanings = ", ".join(f"{folder}/ is {split}" for folder, split in splits)
        _logger.info("%s: split folders: %s; all others are train", root, meanings)


def _samples(root: Path, by_split: Mapping[str, _Labelled]) -> dict[str, Samples]:
    first = next(name for name in ("train", "test") if name in by_split)
    classes = sorted({row.class_name for rows in by_split[first].values() for row in rows})
    number = {name: label for label, name in enumerate(classes)}

    def label(row: LabelRow) -> int:
        if row.class_name not in number:
            hint = did_you_mean(row.class_name, classes)
            raise row.bad(f"no image of {first} has the label {row.class_name!r}; {hint}")
        return number[row.class_name]

    listed = {
        split: [list(map(label, rows)) for rows in members.values()]
        for split, members in by_split.items()
    }
    several = any(len(set(own)) > 1 for sets in listed.values() for own in sets)
    return {
        split: Samples(
            root,
            tuple(members),
            np.array([own[0] for own in listed[split]], dtype=np.int64),
            tuple(classes),
            label_sets=tuple(map(np.unique, listed[split])) if several else None,
        )
        for split, members in by_split.items()
    }
