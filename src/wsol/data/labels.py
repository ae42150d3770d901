"""Known labels of images, and maps of new class names."""

import hashlib
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import overload

import numpy as np
import yaml

from wsol.data.annotations.csv import read_csv_rows
from wsol.data.annotations.matching import match_rows
from wsol.data.datasets.folders import folder_classes
from wsol.data.datasets.label_table import read_label_rows
from wsol.data.names import ImageNames, class_fault, class_name, some
from wsol.errors import AnnotationError, ConfigError, DataError, did_you_mean

_logger = logging.getLogger("wsol")


class GivenLabels(Sequence[tuple[int, ...]]):
    """Sequence of the class indices of each image, stored in flat arrays; empty if unknown."""

    def __init__(self, classes: tuple[str, ...], labels: Iterable[Sequence[int]]) -> None:
        """Store the labels of each image."""
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
        """Return the class indices of an image, or a slice of the labels."""
        if isinstance(index, slice):
            numbers = range(len(self))[index]
            return GivenLabels(self.classes, (self[number] for number in numbers))
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        start, end = self._ends[index % len(self) : index % len(self) + 2]
        return tuple(self._values[start:end].tolist())

    def numbered(self, classes: Sequence[str]) -> "GivenLabels":
        """Return the labels as indices into the classes of a run.

        Raises:
            ConfigError: If the run does not have one of the classes.
        """
        for name in self.classes:
            if name not in classes:
                near = did_you_mean(name, classes)
                raise ConfigError(
                    f"labels_from: the run has no class {name!r}; {near} Rename it with --class_map"
                )
        numbers = [classes.index(name) for name in self.classes]
        return GivenLabels(tuple(classes), ([numbers[label] for label in own] for own in self))

    def digest(self) -> str:
        """Return the SHA-256 of class names and labels, in hexadecimal."""
        digest = hashlib.sha256("\0".join(self.classes).encode("utf-8", "surrogateescape"))
        digest.update(self._ends.tobytes() + self._values.tobytes())
        return digest.hexdigest()


def folder_labels(
    root: Path, images: Sequence[str], split_folders: Sequence[str] = ()
) -> Iterator[tuple[str, ...]]:
    """Yield the class of each image by its folder, see `folder_classes`; none without class folder.

    Raises:
        DataError: If a folder could be a split or a class, or no image is in a class folder.
    """
    found = list(folder_classes(root, images, split_folders))
    if not any(found):
        raise DataError(f"{root}: no image is in a class folder; put images in CLASS/")
    return (() if name is None else (name,) for name in found)


def file_labels(root: Path, images: Sequence[str], file: Path | str) -> Iterator[tuple[str, ...]]:
    """Yield the classes of each image from a file of labels; none if the file does not list it.

    Rows of other images are left out, with a log message. Names in the file may begin with the last
    folders of `root`.

    Raises:
        AnnotationError: If a row cannot be used, or its name matches more than one image.
        DataError: If the file does not exist, its suffix is unknown, or it lists none of the
            images.
    """
    file = Path(file)
    rows = list(read_label_rows(file))
    # Names may begin with the folder of the data set or split, which distinguishes splits.
    above = "/".join(part for part in root.absolute().parts[-2:] if part != root.anchor)
    for ids in ([f"{above}/{image}" for image in images] if above else images, images):
        matched = match_rows(rows, ImageNames(ids), synonyms="none")
        if matched.of_image:
            break
    lost = dict.fromkeys(row.image for row in matched.unknown)
    if not matched.of_image:
        raise DataError(
            f"{file}: lists none of the images in {root}, but {some(lost) or 'nothing'}; check the "
            "image names"
        )
    if lost:
        _logger.info("%s: left out %d images that are not in %s", file, len(lost), root)
    labelled = (matched.of_image.get(index, ()) for index in range(len(images)))
    return (tuple(dict.fromkeys(row.class_name for row in rows)) for rows in labelled)


def with_new_names(
    labels: Iterable[Sequence[str]], names: Mapping[str, str | None]
) -> Iterator[tuple[str, ...] | None]:
    """Yield the new class names of each image, see `read_class_map`, without duplicates.

    None stands for an image all of whose classes are left out.
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
        _logger.warning("class_map: no image has the class %r; %s", name, did_you_mean(name, known))


_LEFT_OUT = ("", "~", "null")
"""Values in YAML files that stand for a missing name, for classes that are left out."""


def read_class_map(path: Path | str) -> dict[str, str | None]:
    """Read the new name of each class in a file, None for classes that are left out.

    Args:
        path: CSV file with the columns `class,new_name`, or YAML file of `class: new_name`. Classes
            with the same new name are merged, and classes without a new name are left out; classes
            that are not listed keep their name.

    Raises:
        AnnotationError: If a row cannot be used.
        DataError: If the file does not exist, its suffix is unknown, or it cannot be read.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    read = {".csv": _csv_pairs, ".yaml": _yaml_pairs, ".yml": _yaml_pairs}.get(suffix)
    if read is None:
        raise DataError(f"{path}: not a class map; use a .csv, .yaml or .yml file")
    if not path.is_file():
        raise DataError(f"{path}: no such file; set --class_map to a file of new class names")
    found: dict[str, str | None] = {}
    for line, old, new in read(path):
        name, new_name = class_name(old), class_name(new)
        for each in (name, new_name or None):
            if each is not None and (fault := class_fault(each)):
                raise AnnotationError(path, line, f"the class {each!r} {fault}")
        if found.setdefault(name, new_name or None) != (new_name or None):
            raise AnnotationError(path, line, f"{name!r} has more than one new name")
    return found


def _csv_pairs(path: Path) -> Iterator[tuple[int | None, str, str]]:
    for row in read_csv_rows(path, ("class", "new_name")):
        if isinstance(row, AnnotationError):
            raise row
        old, new = row.fields
        yield row.line, old, new


def _yaml_pairs(path: Path) -> Iterator[tuple[int | None, str, str]]:
    try:
        # Scalars are read as strings, as a class may be called "no" or "007".
        content = yaml.load(path.read_text(encoding="utf-8-sig"), Loader=yaml.BaseLoader)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise DataError(f"{path}: cannot be read: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise DataError(f"{path}: not a mapping; use a line 'class: new_name' for each class")
    for old, new in content.items():
        if not (isinstance(old, str) and isinstance(new, str)):
            raise AnnotationError(path, None, f"{old!r} needs one new name, not {new!r}")
        yield None, old, "" if new in _LEFT_OUT else new
