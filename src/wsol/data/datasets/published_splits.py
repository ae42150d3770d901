"""Reader of published splits: wsolevaluation's metadata, or label files of the ADL authors."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wsol.data.annotations.matching import match_rows
from wsol.data.annotations.types import Box, BoxAnnotations, LabelRow, box_fault, read_lines
from wsol.data.annotations.wsolevaluation import (
    GROUND_TRUTH,
    holds_boxes,
    is_metadata,
    read_listing,
    read_metadata,
)
from wsol.data.datasets.cub import is_cub
from wsol.data.images import find_images
from wsol.data.names import SPLITS, PublishedNames, class_name
from wsol.data.samples import Samples
from wsol.errors import AnnotationError, DataError


@dataclass(frozen=True, eq=False)
class Listing:
    """List of the images of a split.

    Attributes:
        source: File or folder of the list.
        rows: Image and class number of each image, empty if unknown.
        boxes: Per image (k, 4) `x0 y0 x1 y1` in pixels; None if the split has none.
    """

    source: Path
    rows: list[LabelRow]
    boxes: tuple[NDArray[np.float64], ...] | None = None


def read_label_file(path: Path, *, with_boxes: bool = True) -> Listing:
    """Read a label file of a split: lines `name class x0 y0 x1 y1` or `name class`.

    They are separated by spaces or tabs; the class is a number from 0. An image with more than one
    box has one line per box. Boxes of the published `train.txt` of CUB are `x y width height`, and
    are not used for training.

    Raises:
        AnnotationError: If a line cannot be used.
        DataError: If the file cannot be read.

    Source: `labels/CUB` and `dataflow/CUB.py` of the authors' tensorpack code.
    """
    rows: dict[str, LabelRow] = {}
    boxes: dict[str, dict[Box, None]] = {}
    for number, line in read_lines(path):
        try:
            name, label, box = _fields(line)
            fault = box_fault(box) if box and with_boxes else None
            if fault:
                raise ValueError(fault)
        except ValueError as error:
            raise AnnotationError(path, number, f"cannot read {line!r}: {error}") from error
        row = LabelRow(path, name, number, class_name=label)
        if rows.setdefault(name, row).class_name != label:
            raise row.bad(f"{name!r} has two classes")
        known = boxes.setdefault(name, {})
        if box:
            known[box] = None
    if not rows:
        raise DataError(f"{path}: is empty; use a file with one image per line")
    found = tuple(np.array(list(own), np.float64).reshape(-1, 4) for own in boxes.values())
    return Listing(path, list(rows.values()), found if with_boxes and any(boxes.values()) else None)


def _fields(line: str) -> tuple[str, str, Box | None]:
    """Return name, class and box of a line; names may contain spaces."""
    last = line.rsplit(maxsplit=5)
    if len(last) == 6 and last[1].isdecimal():
        name, label, *numbers = last
        x0, y0, x1, y1 = map(float, numbers)
        return name.strip(), label, (x0, y0, x1, y1)
    name, label = line.rsplit(maxsplit=1)
    # An incomplete box would otherwise become part of the name.
    if not label.isdecimal() or name.split()[-1].isdecimal():
        raise ValueError("expected a name, the number of its class, and x0 y0 x1 y1 or nothing")
    return name.strip(), label, None


_logger = logging.getLogger("wsol")


def read_splits(
    root: Path | str, splits: Path | str, *, follow_links: bool = False
) -> dict[str, Samples]:
    r"""Read the images of published splits, with their classes and boxes.

    A name matches the image with this path below `root`, otherwise its ends are tried, longest
    first, so that `val/a.JPEG` matches `test/n01440764/a.JPEG`. The name of a class is the folder
    of its images, otherwise its number.

    Args:
        root: Folder of the images, in any layout.
        splits: Folder with, for each of `train`, `val` and `test`, a folder of wsolevaluation's
            metadata (see `read_metadata`) or a text file (see `read_label_file`). A `val.txt`
            without a `test.txt` of other images is `test`, as in the authors' code; boxes of
            `train.txt` are not read.
        follow_links: Whether to follow symbolic links, see `find_images`.

    Returns:
        The splits that have images, by name. A split without any existing image is left out with a
        log message.

    Raises:
        AnnotationError: If a line cannot be used.
        DataError: If some images of a split are missing, or the files contain no splits or classes.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     for name in ("birds/crow/a.jpg", "birds/wren/b.jpg", "lists/train.txt"):
    ...         Path(folder, name).parent.mkdir(parents=True, exist_ok=True)
    ...         Path(folder, name).touch()
    ...     _ = Path(folder, "lists/train.txt").write_text("crow/a.jpg 0\nwren/b.jpg 1\n")
    ...     train = read_splits(Path(folder, "birds"), Path(folder, "lists"))["train"]
    >>> train.ids, train.classes, train.labels
    (('crow/a.jpg', 'wren/b.jpg'), ('crow', 'wren'), array([0, 1]))
    """
    root, splits = Path(root), Path(splits)
    # The images of CUB are below images/, and its ids are relative to it.
    root = root / "images" if is_cub(root) else root
    listings = _listings(splits, root)
    if not listings:
        raise DataError(
            f"{splits}: no splits found; use a folder with train, val or test, each a folder of "
            "wsolevaluation's metadata or a .txt file of names and classes"
        )
    names = PublishedNames(find_images(root, follow_links=follow_links))
    found = {
        name: ids for name, listing in listings.items() if (ids := _images(names, root, listing))
    }
    if not found:
        raise DataError(
            f"{root}: contains none of the images listed in {splits}; use the folder of the images"
        )
    _check_apart(found, listings)
    numbers = {name: _numbers(listings[name]) for name in found}
    classes = _class_names(found, numbers)
    return {
        name: Samples(root, ids, numbers[name], classes, listings[name].boxes)
        for name, ids in found.items()
    }


def _listings(splits: Path, root: Path) -> dict[str, Listing]:
    folders = [name for name in SPLITS if is_metadata(splits / name)]
    if folders:
        listings = {name: _metadata(splits / name, root) for name in folders}
        return {name: listing for name, listing in listings.items() if listing.rows}
    return {
        split: read_label_file(path, with_boxes=split != "train")
        for split, path in _label_files(splits).items()
    }


def _metadata(folder: Path, root: Path) -> Listing:
    rows = read_listing(folder)
    found = read_metadata(folder, root) if rows and _has_boxes(folder) else None
    return Listing(folder, rows, found.boxes if isinstance(found, BoxAnnotations) else None)


def _has_boxes(folder: Path) -> bool:
    return (folder / GROUND_TRUTH).is_file() and holds_boxes(folder)


def _label_files(splits: Path) -> dict[str, Path]:
    """Return the files of the splits.

    The ADL authors evaluate on `val.txt`, which contains the test images of CUB and the official
    validation images of ILSVRC. Their `test.txt` of CUB contains the same images, with boxes as
    `x y width height`, and is not used by their code.
    """
    files = {name: splits / f"{name}.txt" for name in SPLITS}
    files = {name: path for name, path in files.items() if path.is_file()}
    if "val" not in files:
        return files
    if "test" in files:
        val, test = (
            {row.image for row in read_label_file(files[name], with_boxes=False).rows}
            for name in ("val", "test")
        )
        if not val & test:
            return files
    _logger.info("%s: used as split test, as in the authors' evaluation", files["val"])
    return {name: path for name, path in files.items() if name == "train"} | {"test": files["val"]}


def _images(names: PublishedNames, root: Path, listing: Listing) -> tuple[str, ...]:
    """Return the image of each row, or an empty tuple if none exists."""
    matched = match_rows(listing.rows, names, check=_only, synonyms="all")
    lost, count = matched.unknown, len(listing.rows)
    if lost and matched.of_image:
        raise DataError(
            f"{root}: {len(lost)} of the {count} images listed in {listing.source} are missing, "
            f"such as {lost[0].image!r}; add them to the folder"
        )
    if lost:
        _logger.warning("%s: left out, as none of its images is in %s", listing.source, root)
    return tuple(names.ids[index] for index in matched.of_image)


def _only(row: LabelRow, index: int, earlier: list[LabelRow]) -> LabelRow:
    """Raise an error if another row has the image of a row."""
    if earlier:
        raise row.bad(f"{row.image!r} and {earlier[0].image!r} match the same image")
    return row


def _check_apart(found: Mapping[str, Sequence[str]], listings: Mapping[str, Listing]) -> None:
    """Raise an error if an image is in two splits."""
    seen: dict[str, str] = {}
    for split, ids in found.items():
        for image in ids:
            if image in seen:
                where = listings[split].source
                raise DataError(f"{where}: {image!r} is also in {seen[image]}; remove it from one")
        seen.update(dict.fromkeys(ids, split))


def _numbers(listing: Listing) -> NDArray[np.int64]:
    """Return the class index of each image."""
    for row in listing.rows:
        if not row.class_name.isdecimal():
            raise row.bad(f"{row.image!r} has the class {row.class_name!r}; use a number from 0")
    return np.array([int(row.class_name) for row in listing.rows], dtype=np.int64)


def _class_names(
    found: Mapping[str, Sequence[str]], numbers: Mapping[str, NDArray[np.int64]]
) -> tuple[str, ...]:
    """Return the class names: names of folders if they are consistent, otherwise numbers."""
    count = 1 + max(int(of.max()) for of in numbers.values())
    for split in ("train", "test", "val"):
        pairs = set(zip(numbers.get(split, ()), map(_folder, found.get(split, ())), strict=True))
        names = {int(number): name for number, name in pairs}
        if len(pairs) == len(names) == len(set(names.values())) == count:
            return tuple(names[number] for number in range(count))
    return tuple(map(str, range(count)))


def _folder(image: str) -> str:
    """Return the name of an image's folder, empty at the root."""
    return class_name(image.rpartition("/")[0].rpartition("/")[2])
