"""Labels that are known of images which are to be localized."""

import hashlib
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import overload

import numpy as np
import yaml

from wsol.data.annotations.csv import read_csv_rows
from wsol.data.datasets.folders import folder_classes
from wsol.data.datasets.label_table import LabelRow, read_label_rows
from wsol.data.names import ImageNames, class_fault, class_name, some
from wsol.errors import AnnotationError, ConfigError, DataError, did_you_mean

_logger = logging.getLogger("wsol")


class GivenLabels(Sequence[tuple[int, ...]]):
    """Hold the classes of each image of a list, in flat memory.

    Args:
        classes: Name of each class.
        labels: Of each image the indices of its classes; none where its label is not known.

    >>> labels = GivenLabels(("crow", "wren"), [(1,), (), (0, 1)])
    >>> labels[2], labels[1], len(labels)
    ((0, 1), (), 3)
    """

    def __init__(self, classes: tuple[str, ...], labels: Iterable[Sequence[int]]) -> None:
        """Take the labels of each image."""
        self.classes = classes
        ends, values = [0], list[int]()
        for own in labels:
            values.extend(own)
            ends.append(len(values))
        self._ends, self._values = np.array(ends, np.int64), np.array(values, np.int32)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._ends) - 1

    @overload
    def __getitem__(self, index: int) -> tuple[int, ...]: ...

    @overload
    def __getitem__(self, index: slice) -> "GivenLabels": ...

    def __getitem__(self, index: int | slice) -> "tuple[int, ...] | GivenLabels":
        """Return the classes of an image, or the labels of a slice."""
        if isinstance(index, slice):
            numbers = range(len(self))[index]
            return GivenLabels(self.classes, (self[number] for number in numbers))
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        start, end = self._ends[index % len(self) : index % len(self) + 2]
        return tuple(self._values[start:end].tolist())

    def numbered(self, classes: Sequence[str]) -> "GivenLabels":
        """Return the same labels as indices into the classes of a run.

        Args:
            classes: Names of the run's classes.

        Raises:
            ConfigError: If the run has no class of that name.

        >>> GivenLabels(("wren",), [(0,)]).numbered(("crow", "wren"))[0]
        (1,)
        """
        for name in self.classes:
            if name not in classes:
                near = did_you_mean(name, classes)
                raise ConfigError(
                    f"labels_from: the run has no class {name!r}: {near} Rename it with --class_map"
                )
        numbers = [classes.index(name) for name in self.classes]
        return GivenLabels(tuple(classes), ([numbers[label] for label in own] for own in self))

    def digest(self) -> str:
        """Return the SHA-256 of the classes and of each image's, in hexadecimal."""
        digest = hashlib.sha256("\0".join(self.classes).encode("utf-8", "surrogateescape"))
        digest.update(self._ends.tobytes() + self._values.tobytes())
        return digest.hexdigest()


def folder_labels(
    root: Path, images: Sequence[str], split_folders: Sequence[str] = ()
) -> Iterator[tuple[str, ...]]:
    """Yield the classes of each image by its folders, see `read_folders`; none outside of them.

    Args:
        root: Folder of the images, for messages.
        images: Path of each image below `root`.
        split_folders: Which folders are splits, see `read_split_folders`.

    Raises:
        DataError: If a folder may be a split or a class, or no image is in a class folder.

    >>> list(folder_labels(Path("birds"), ["crow/a.jpg", "b.jpg"]))
    [('crow',), ()]
    """
    found = list(folder_classes(root, images, split_folders))
    if not any(found):
        raise DataError(f"{root}: no image is in a class folder; put images in CLASS/")
    return (() if name is None else (name,) for name in found)


def file_labels(root: Path, images: Sequence[str], file: Path | str) -> Iterator[tuple[str, ...]]:
    r"""Yield the classes of each image by a file of labels; none where the file does not name it.

    Rows of images that are not among these are left out, with a line on the logger "wsol".

    Args:
        root: Folder of the images, whose name may be part of those in the file.
        images: Path of each image below `root`.
        file: See `read_labels`.

    Raises:
        AnnotationError: If a row cannot be used, or names several images.
        DataError: If there is no such file, its suffix is unknown, or it names none of the images.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "labels.csv")
    ...     _ = file.write_text("image,label\ntest/a.jpg,wren\ntest/a.jpg,crow\ntrain/a.jpg,jay\n")
    ...     list(file_labels(Path("birds/test"), ["a.jpg", "b.jpg"], file))
    [('wren', 'crow'), ()]
    """
    file = Path(file)
    rows = list(read_label_rows(file))
    # Names may begin with the folder of the data set or its split, which tells splits apart.
    above = "/".join(part for part in root.absolute().parts[-2:] if part != root.anchor)
    found: list[dict[str, None]] = []
    for ids in ([f"{above}/{image}" for image in images] if above else images, images):
        found, lost = _matched(ImageNames(ids), rows)
        if any(found):
            break
    else:
        raise DataError(
            f"{file}: names none of the images in {root}, but {some(lost) or 'nothing'}"
        )
    if lost:
        _logger.info("%s: names %d images that are not in %s", file, len(lost), root)
    return map(tuple, found)


def _matched(
    names: ImageNames, rows: Iterable[LabelRow]
) -> tuple[list[dict[str, None]], dict[str, None]]:
    """Return the classes of each image, and the names that are none of the images'."""
    found: list[dict[str, None]] = [{} for _ in names.ids]
    called: dict[int, str] = {}
    lost: dict[str, None] = {}
    for row in rows:
        if fault := class_fault(row.label):
            raise row.bad(f"the label {row.label!r} of {row.image!r} {fault}")
        match = names.find(row.image)
        if match is None:
            lost[row.image] = None
            continue
        if match.index is None:
            raise row.bad(f"several images end in {row.image!r}; give more of the path")
        other = called.setdefault(match.index, row.image)
        if other != row.image:
            raise row.bad(f"{row.image!r} and {other!r} name the same image; give more of the path")
        found[match.index][row.label] = None
    return found, lost


def with_new_names(
    labels: Iterable[Sequence[str]], names: Mapping[str, str | None]
) -> Iterator[tuple[str, ...] | None]:
    """Yield the classes of each image under their new names.

    Args:
        labels: Names of the classes of each image.
        names: As `read_class_map` returns them.

    Yields:
        Names without repetition; None where all classes of the image are left out.

    >>> list(with_new_names([("Bengal", "pug"), ("pug",), ()], {"Bengal": "cat", "pug": None}))
    [('cat',), None, ()]
    """
    unused = set(names)
    known: set[str] = set()
    for own in labels:
        unused.difference_update(own)
        known.update(own)
        new = [names.get(name, name) for name in own]
        kept = tuple(dict.fromkeys(name for name in new if name is not None))
        yield None if own and not kept else kept
    for name in sorted(unused):
        _logger.warning(
            "class_map: no image is of the class %r: %s", name, did_you_mean(name, known)
        )


_LEFT_OUT = ("", "~", "null")
"""What a YAML file has in place of a name for a class that is left out."""


def read_class_map(path: Path | str) -> dict[str, str | None]:
    r"""Read which names classes get.

    Args:
        path: CSV file with the columns `class,new_name`, or YAML file of `class: new_name`. Classes
            with the same new name are merged, and one without a new name is left out; a class that
            is not listed keeps its name.

    Returns:
        New name of each listed class, None where it is left out.

    Raises:
        AnnotationError: If a row cannot be used.
        DataError: If there is no such file, its suffix is unknown, or it cannot be read.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "classes.csv")
    ...     _ = file.write_text("class,new_name\nBengal,cat\nBombay,cat\npug,\n")
    ...     read_class_map(file)
    {'Bengal': 'cat', 'Bombay': 'cat', 'pug': None}
    """
    path = Path(path)
    suffix = path.suffix.lower()
    read = {".csv": _csv_pairs, ".yaml": _yaml_pairs, ".yml": _yaml_pairs}.get(suffix)
    if read is None:
        raise DataError(f"{path}: class maps are read from .csv, .yaml or .yml files")
    if not path.is_file():
        raise DataError(f"{path}: no such class map")
    found: dict[str, str | None] = {}
    for line, old, new in read(path):
        name, new_name = class_name(old), class_name(new)
        for each in (name, new_name or None):
            if each is not None and (fault := class_fault(each)):
                raise AnnotationError(path, line, f"the class {each!r} {fault}")
        if found.setdefault(name, new_name or None) != (new_name or None):
            raise AnnotationError(path, line, f"{name!r} has another new name already")
    return found


def _csv_pairs(path: Path) -> Iterator[tuple[int | None, str, str]]:
    for row in read_csv_rows(path, ("class", "new_name")):
        if isinstance(row, AnnotationError):
            raise row
        old, new = row.fields
        yield row.line, old, new


def _yaml_pairs(path: Path) -> Iterator[tuple[int | None, str, str]]:
    try:
        # Every scalar is a text: a class may be called "no" or "007".
        content = yaml.load(path.read_text(encoding="utf-8-sig"), Loader=yaml.BaseLoader)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise DataError(f"{path}: cannot be read: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise DataError(f"{path}: needs a line 'class: new_name' for each class")
    for old, new in content.items():
        if not (isinstance(old, str) and isinstance(new, str)):
            raise AnnotationError(path, None, f"{old!r} needs one new name, not {new!r}")
        yield None, old, "" if new in _LEFT_OUT else new
