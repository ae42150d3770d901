"""Data sets laid out as one folder per class."""

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from wsol.data.annotations.boxes import find_boxes, with_boxes
from wsol.data.annotations.types import OnBad
from wsol.data.file_index import is_output_folder, list_folders
from wsol.data.images import find_images
from wsol.data.names import class_name, in_order, read_split_folders, split_of, split_option
from wsol.data.samples import Samples
from wsol.errors import DataError, did_you_mean

_logger = logging.getLogger("wsol")


def read_folders(
    root: Path | str,
    boxes: Path | str | None = None,
    on_bad: OnBad = "fail",
    *,
    split_folders: Sequence[str] = (),
    follow_links: bool = False,
) -> dict[str, Samples]:
    """Read a data set of one folder per class, with or without a folder per split above them.

    The layout is `root/{train,val,test}/<class>/**`, of which `train` or `test` must exist, or
    `root/<class>/**`, all of which is `train`. Folders named after splits (see `split_of`) are
    splits where they hold class folders, and classes where none of them does and other folders are
    beside them; a line on the logger "wsol" says which. The classes are the sorted folders of
    `train` (of `test` where there is no `train`), without blanks around their names. Ids are paths
    below `root`. Images in no class folder, hidden files and folders, and folders that wsol has
    written are left out.

    Args:
        root: Folder of the data set.
        boxes: File of boxes for any of the images, see `read_boxes`; `boxes.csv` or else
            `boxes.json` in `root` if there is one.
        on_bad: Whether a bad row of boxes ends the reading or is skipped with a line in the log.
        split_folders: Which folders are splits, see `read_split_folders`.
        follow_links: Whether to follow symbolic links, see `find_images`.

    Returns:
        The splits that exist, by name.

    Raises:
        DataError: If there are no images, a class folder is empty, `val` or `test` has a class
            that the classes lack, a folder may be a split or a class, or the data set lies in a
            folder below.
        ConfigError: If `split_folders` cannot be used.
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
    folders = _split_folders(root, images, read_split_folders(split_folders))
    members = {split: _classes(root, folder, images) for split, folder in folders.items()}
    first = next(name for name in ("train", "test") if name in members)
    classes = tuple(sorted(members[first]))
    if not any(folders.values()):
        _logger.info("%s: no folder is a split, so all %d are classes", root, len(classes))
    splits = {}
    for name, of_class in members.items():
        for extra in sorted(of_class.keys() - set(classes)):
            where = root / folders[name] / extra
            raise DataError(f"{where}: class {extra!r} does not exist in {root / folders[first]}")
        ids = tuple(image for label in classes for image in of_class.get(label, ()))
        counts = [len(of_class.get(label, ())) for label in classes]
        splits[name] = Samples(root, ids, np.repeat(np.arange(len(classes)), counts), classes)
    _log_outside(root, images, splits)
    boxes = boxes or find_boxes(root)
    return with_boxes(splits, boxes, on_bad) if boxes else splits


def folder_classes(
    root: Path, images: Sequence[str], split_folders: Sequence[str] = ()
) -> Iterator[str | None]:
    """Yield the class of each image by its folders, as `read_folders` has it.

    Nothing is looked up on the disk, so that the images may be anywhere.

    Args:
        root: Folder of the images, for messages.
        images: Path of each image below `root`.
        split_folders: Which folders are splits, see `read_split_folders`.

    Yields:
        Name of the class, None for an image in no class folder.

    Raises:
        DataError: If a folder may be a split or a class.

    >>> list(folder_classes(Path("birds"), ["train/crow/a.jpg", "test/wren/b.jpg", "c.jpg"]))
    ['crow', 'wren', None]
    """
    names = sorted({image.partition("/")[0] for image in images if "/" in image})
    given = read_split_folders(split_folders)
    splits = _found_splits(root, images, names) if given is None else _known(root, given, names)
    for image in images:
        first, slash, rest = image.partition("/")
        if splits:
            first, slash, _ = rest.partition("/") if first in splits else ("", "", "")
        yield class_name(first) if slash else None


def _split_folders(
    root: Path, images: Sequence[str], given: Mapping[str, str] | None
) -> dict[str, str]:
    """Return the folder of each split, which is "" or ends in a slash."""
    names = [folder.name for folder in list_folders(root)]
    if given is None:
        splits = _found_splits(root, images, names)
        reason = "by their names"
    else:
        splits, reason = _known(root, given, names), "by --split_folders"
    if not splits:
        return {"train": ""}
    if set(splits.values()) == {"val"}:
        (only,) = splits
        raise DataError(f"{root}: the folder {only!r} needs a folder 'train' or 'test' beside it")
    folder_of = {split: name for name, split in splits.items()}
    found = {split: f"{folder_of[split]}/" for split in in_order(folder_of)}
    meanings = ", ".join(f"{folder} is {split}" for split, folder in found.items())
    _logger.info("%s: folders are splits %s: %s", root, reason, meanings)
    return found


def _known(root: Path, given: Mapping[str, str], names: Sequence[str]) -> dict[str, str]:
    """Return the folders that are named as splits, all of which must exist."""
    missing = next((name for name in given if name not in names), None)
    if missing is not None:
        raise DataError(
            f"{root / missing}: no such folder, but --split_folders names it; "
            f"{did_you_mean(missing, names)}"
        )
    return dict(given)


def _found_splits(root: Path, images: Sequence[str], names: Sequence[str]) -> dict[str, str]:
    """Return which folders are splits by their names and what is in them, folder to split."""
    splits = {name: split for name in names if (split := split_of(name))}
    # The folders of images, and those in them, without a list as long as that of the images.
    above = {tuple(image.split("/", 2)[:-1]) for image in images}
    with_classes = {path[0] for path in above if len(path) > 1}
    others = sorted({path[0] for path in above if path} - splits.keys())
    if not splits:
        _refuse_nested(root, [path for path in above if len(path) > 1])
        return {}
    known = ", ".join(map(repr, splits))
    if others and not with_classes & splits.keys():
        _logger.info(
            "%s: %s is a class as %r is: no folders are in it; --split_folders decides otherwise",
            root,
            known,
            others[0],
        )
        return {}
    if others and len(set(splits.values())) == 1:
        raise DataError(
            f"{root}: {known} can be a split, or a class as {others[0]!r} is; pass "
            f"{split_option(splits)} or --split_folders none"
        )
    twice = next((name for name, count in Counter(splits.values()).items() if count > 1), None)
    if twice is not None:
        both = [name for name, split in splits.items() if split == twice]
        raise DataError(
            f"{root}: the folders {' and '.join(map(repr, both))} are both called after the split "
            f"{twice}; name one: {split_option({both[0]: twice})}, or pass --split_folders none"
        )
    return splits


def _refuse_nested(root: Path, paths: Sequence[tuple[str, ...]]) -> None:
    """Refuse a folder whose folders are data sets: its classes would be theirs."""
    inner: dict[str, dict[str, str]] = {}
    for top, second in sorted(paths):
        if split := split_of(second):
            inner.setdefault(top, {})[split] = second
    for top, found in sorted(inner.items()):
        if len(found) > 1:
            split = in_order(found)[0]
            raise DataError(
                f"{root}: {top}/{found[split]} is a split, so {top!r} is a data set and no class; "
                f"use {root / top}, or pass --split_folders none"
            )


def _log_outside(root: Path, images: Sequence[str], splits: Mapping[str, Samples]) -> None:
    """Say how many images are in no class folder, and in which folders."""
    count = len(images) - sum(map(len, splits.values()))
    if count:
        used = {image for samples in splits.values() for image in samples.ids}
        tops = {image.partition("/")[0] for image in images if image not in used and "/" in image}
        where = f" (in {', '.join(map(repr, sorted(tops)[:5]))})" if tops else ""
        _logger.warning("%s: %d images in no class folder were left out%s", root, count, where)


def _classes(root: Path, folder: str, images: Sequence[str]) -> dict[str, list[str]]:
    """Return the images of each class folder in `folder`, which is "" or ends in a slash."""
    folders: dict[str, list[str]] = {path.name: [] for path in list_folders(root / folder)}
    for image in images:
        name, slash, _ = image.removeprefix(folder).partition("/")
        if image.startswith(folder) and slash:
            folders[name].append(image)
    classes: dict[str, list[str]] = {}
    for name, members in folders.items():
        where = root / folder / name
        if not members:
            if not where.is_symlink() and any(map(is_output_folder, where.iterdir())):
                # Nothing but exports of wsol.
                continue
            hint = "; links are followed only on request" if where.is_symlink() else ""
            raise DataError(f"{where}: this class folder has no images{hint}")
        classes.setdefault(class_name(name), []).extend(members)
    if not classes:
        option = " or pass --split_folders none if it is a class" if folder else ""
        raise DataError(
            f"{root / folder}: no class folders with images; put images in CLASS/{option}"
        )
    return classes
