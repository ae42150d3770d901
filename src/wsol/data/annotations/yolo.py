"""Reader of boxes in YOLO label files, with one file per image."""

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Final

import yaml

from wsol._utils.names import unescape_name
from wsol.data.annotations.types import Box, BoxRow, ImageRow, Row
from wsol.data.file_index import find_files
from wsol.errors import AnnotationError, DataError

YOLO_SUFFIXES: Final = (".yaml", ".yml")
"""Suffixes of the description file of a data set."""

_NAMES: Final = ("data.yaml", "data.yml", "dataset.yaml", "classes.txt", "obj.names")
"""Files with the class names, preferred files first."""

_LABELS, _IMAGES = "labels", "images"


def find_yolo(path: Path) -> Path | None:
    """Return the file with the class names of a YOLO data set (see `read_yolo_boxes`), or None."""
    if path.is_file():
        return path if path.suffix.lower() in YOLO_SUFFIXES else None
    path = path.absolute()
    is_labels = path.name == _LABELS
    folders = (path, path.parent, path.parent.parent) if is_labels else (path, path / _LABELS)
    files = (folder / name for name in _NAMES for folder in folders)
    return next((file for file in files if file.is_file()), None)


def yolo_images(path: Path) -> Path:
    """Return the folder of the images of a YOLO data set, see `read_yolo_boxes`."""
    root = _root(path)
    return root / _IMAGES if (root / _IMAGES).is_dir() else root


def read_yolo_boxes(path: Path) -> Iterator[Row]:
    """Yield the images and boxes of YOLO label files.

    A line is `class x y width height`, with the class index from 0, center and size of the box in
    fractions of the image as displayed, and an optional score; or `class x y x y ...`, the corners
    of a polygon, whose bounding box is used. The labels of `images/crow/a.jpg` are in
    `labels/crow/a.txt`, also in folders `train/images` and `train/labels`; without such folders,
    labels are next to the images, which are named by their expected paths without suffix.

    Args:
        path: Folder of the data set, its folder `labels`, or its YAML file. The class names are in
            its `data.yaml` (`names`), `classes.txt` or `obj.names`.

    Raises:
        AnnotationError: If the class names or a file as a whole cannot be read.
        DataError: If there are no labels or no class names.
    """
    source, root = find_yolo(path), _root(path)
    if source is None:
        raise DataError(f"{path}: no class names found; add data.yaml or classes.txt")
    names, files = _names(source), find_labels(path)
    if not files:
        raise DataError(f"{path}: no labels found; use a folder of .txt files")
    for name in files:
        *folders, file = PurePosixPath(name).parts
        if _LABELS in folders:
            folders[len(folders) - 1 - folders[::-1].index(_LABELS)] = _IMAGES
        image = root.joinpath(*folders, PurePosixPath(file).stem).as_posix()
        yield ImageRow(root / name, image)
        for line, text in enumerate(_text(root / name).split("\n"), start=1):
            if text.strip():
                yield _row(root / name, line, text.split(), image, names)


def find_labels(path: Path) -> list[str]:
    """Return the label files of a YOLO data set, relative to its root folder."""
    root = _root(path)
    files = [name for name in find_files(root, {".txt"}) if Path(name).name not in _NAMES]
    return [name for name in files if _LABELS in PurePosixPath(name).parts[:-1]] or files


def _root(path: Path) -> Path:
    """Return the root folder, which contains the folders `labels`."""
    path = path.absolute()
    return path.parent if path.is_file() or path.name == _LABELS else path


def _row(file: Path, line: int, fields: Sequence[str], image: str, names: dict[int, str]) -> Row:
    try:
        label, numbers = int(fields[0]), [float(field) for field in fields[1:]]
    except ValueError as error:
        return AnnotationError(file, line, str(error))
    box = _box(numbers)
    if box is None:
        return AnnotationError(
            file, line, f"{len(fields)} numbers; expected class x y width height"
        )
    if label not in names:
        return AnnotationError(file, line, f"class {label} has no name among {len(names)} classes")
    return BoxRow(file, image, line, class_name=names[label], box=box, is_relative=True)


def _box(numbers: Sequence[float]) -> Box | None:
    if len(numbers) in (4, 5):
        x, y, width, height = numbers[:4]
        return x - width / 2, y - height / 2, x + width / 2, y + height / 2
    if len(numbers) < 6 or len(numbers) % 2:
        return None
    xs, ys = numbers[::2], numbers[1::2]
    return min(xs), min(ys), max(xs), max(ys)


def _names(source: Path) -> dict[int, str]:
    """Return the class names by index."""
    text = _text(source)
    if source.suffix.lower() not in YOLO_SUFFIXES:
        return dict(enumerate(line.strip() for line in text.rstrip().split("\n")))
    try:
        content: Any = yaml.safe_load(text)
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise AnnotationError(source, None, f"not YAML: {reason}") from error
    names = content.get("names") if isinstance(content, dict) else None
    if isinstance(names, list):
        names = dict(enumerate(names))
    if not isinstance(names, dict) or not all(isinstance(number, int) for number in names):
        raise AnnotationError(source, None, "needs 'names', a list or numbers with names")
    return {number: unescape_name(str(name)) for number, name in names.items()}


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig", errors="surrogateescape")
    except OSError as error:
        raise AnnotationError(file, None, f"cannot be read: {error.strerror}") from error
