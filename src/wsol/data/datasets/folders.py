"""Reader of data sets with one folder per class."""

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
    """Read a data set with one folder per class, and optional split folders above them.

    The layout is `root/{train,val,test}/<class>/**`, where `train` or `test` must exist, or
    `root/<class>/**`, which is `train` only. Folders named after splits (see `split_of`) are splits
    if they contain class folders; they are classes if none of them does and there are other folders
    next to them. The decision is logged. The classes are the sorted folders of `train` (of `test`
    without `train`), with surrounding whitespace removed. Ids are paths below `root`. Images
    outside class folders, hidden files and folders, and folders that wsol has written are left out.

    Args:
        root: Folder of the data set.
        boxes: File of boxes, see `read_boxes`; default: `boxes.csv`, otherwise `boxes.json` in
            `root`, if one exists.
        on_bad: Whether a bad row of boxes raises an error or is skipped with a log message.
        split_folders: Split folders, see `read_split_folders`.
        follow_links: Whether to follow symbolic links, see `find_images`.

    Returns:
        The existing splits, by name.

    Raises:
        DataError: If there are no images, a class folder is empty, `val` or `test` has an unknown
            class, a folder could be a split or a class, or the data set is in a subfolder.
        ConfigError: If `split_folders` is not valid.
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
        raise DataError(f"{root}: no images found; use the folder of a data set")
    folders = _split_folders(root, images, read_split_folders(split_folders))
    members = {split: _classes(root, folder, images) for split, folder in folders.items()}
    first = next(name for name in ("train", "test") if name in members)
    classes = tuple(sorted(members[first]))
    if not any(folders.values()):
        _logger.info("%s: no split folders; treating all %d folders as classes", root, len(classes))
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
    """Yield the class of each image by its folder as in `read_folders`; None without class folder.

    The disk is not accessed, so the images may be remote; `root` is for messages.

    Raises:
        DataError: If a folder could be a split or a class.

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
    """Return the folder of each split, which is "" or ends with a slash."""
    names = [folder.name for folder in list_folders(root)]
    if given is None:
        splits = _found_splits(root, images, names)
        reason = "by name"
    else:
        splits, reason = _known(root, given, names), "by --split_folders"
    if not splits:
        return {"train": ""}
    if set(splits.values()) == {"val"}:
        (only,) = splits
        raise DataError(f"{root}: has only the split {only!r}; add a folder 'train' or 'test'")
    folder_of = {split: name for name, split in splits.items()}
    found = {split: f"{folder_of[split]}/" for split in in_order(folder_of)}
    meanings = ", ".join(f"{folder} is {split}" for split, folder in found.items())
    _logger.info("%s: split folders %s: %s", root, reason, meanings)
    return found


def _known(root: Path, given: Mapping[str, str], names: Sequence[str]) -> dict[str, str]:
    """Return the folders of the option `split_folders`, all of which must exist."""
    missing = next((name for name in given if name not in names), None)
    if missing is not None:
        raise DataError(
            f"{root / missing}: no such folder, but it is in --split_folders; "
            f"{did_you_mean(missing, names)}"
        )
    return dict(given)


def _found_splits(root: Path, images: Sequence[str], names: Sequence[str]) -> dict[str, str]:
    """Return the split of each split folder, detected by names and contents."""
    splits = {name: split for name in names if (split := split_of(name))}
    # The first two folder levels of the images, as a small set.
    above = {tuple(image.split("/", 2)[:-1]) for image in images}
    with_classes = {path[0] for path in above if len(path) > 1}
    others = sorted({path[0] for path in above if path} - splits.keys())
    if not splits:
        _refuse_nested(root, [path for path in above if len(path) > 1])
        return {}
    known = ", ".join(map(repr, splits))
    if others and not with_classes & splits.keys():
        _logger.info(
            "%s: treating %s as a class like %r, as it has no subfolders; use --split_folders to "
            "change this",
            root,
            known,
            others[0],
        )
        return {}
    if others and len(set(splits.values())) == 1:
        raise DataError(
            f"{root}: {known} could be a split, or a class like {others[0]!r}; use "
            f"{split_option(splits)} or --split_folders none"
        )
    twice = next((name for name, count in Counter(splits.values()).items() if count > 1), None)
    if twice is not None:
        both = [name for name, split in splits.items() if split == twice]
        raise DataError(
            f"{root}: the folders {' and '.join(map(repr, both))} are both named after the split "
            f"{twice}; select one with {split_option({both[0]: twice})}, or use "
            "--split_folders none"
        )
    return splits


def _refuse_nested(root: Path, paths: Sequence[tuple[str, ...]]) -> None:
    """Raise an error if a subfolder is a data set with splits, as it would become a class."""
    inner: dict[str, dict[str, str]] = {}
    for top, second in sorted(paths):
        if split := split_of(second):
            inner.setdefault(top, {})[split] = second
    for top, found in sorted(inner.items()):
        if len(found) > 1:
            split = in_order(found)[0]
            raise DataError(
                f"{root}: {top}/{found[split]} is a split, so {top!r} is a data set, not a class; "
                f"use {root / top}, or --split_folders none"
            )


def _log_outside(root: Path, images: Sequence[str], splits: Mapping[str, Samples]) -> None:
    """Log the number of images outside class folders, and their folders."""
    count = len(images) - sum(map(len, splits.values()))
    if count:
        used = {image for samples in splits.values() for image in samples.ids}
        tops = {image.partition("/")[0] for image in images if image not in used and "/" in image}
        where = f" (in {', '.join(map(repr, sorted(tops)[:5]))})" if tops else ""
        _logger.warning("%s: left out %d images outside class folders%s", root, count, where)


def _classes(root: Path, folder: str, images: Sequence[str]) -> dict[str, list[str]]:
    """Return the images of each class folder in `folder`, which is "" or ends with a slash."""
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
                # The folder only contains exports of wsol.
                continue
            hint = "; replace the link, as links are not followed" if where.is_symlink() else ""
            raise DataError(f"{where}: this class folder has no images{hint}")
        classes.setdefault(class_name(name), []).extend(members)
    if not classes:
        option = ", or use --split_folders none if it is a class" if folder else ""
        raise DataError(
            f"{root / folder}: no class folders with images; put images in CLASS/{option}"
        )
    return classes
