"""Reader of wsolevaluation's metadata (Choe et al., CVPR 2020), with boxes or masks."""

import logging
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from wsol.data.annotations.ground_truth import BoxTable
from wsol.data.annotations.types import (
    BoxAnnotations,
    BoxRow,
    LabelRow,
    MaskAnnotations,
    MaskFiles,
    OnBad,
    Size,
    parse_size,
    read_lines,
)
from wsol.errors import AnnotationError, DataError

IDS, LABELS, SIZES, GROUND_TRUTH = (
    "image_ids.txt",
    "class_labels.txt",
    "image_sizes.txt",
    "localization.txt",
)

_logger = logging.getLogger("wsol")


def is_metadata(folder: Path) -> bool:
    """Return whether a folder has the layout of a split of wsolevaluation."""
    return any((folder / name).is_file() for name in (IDS, GROUND_TRUTH))


def read_metadata(
    folder: Path,
    images: Path | None = None,
    masks: Path | None = None,
    on_bad: OnBad = "fail",
) -> BoxAnnotations | MaskAnnotations:
    """Read the metadata of a split.

    The images are those in `image_ids.txt`; lines of other images are left out with a log message.
    Duplicate boxes, which occur in the published metadata of ILSVRC, are kept once.

    Args:
        folder: Folder with `image_ids.txt` (one id per line), `localization.txt`
            (`id,x0,y0,x1,y1`, or `id,mask,ignore` with paths of files, the last of which may be
            empty; any number of lines per image), and optionally `class_labels.txt` (`id,label`)
            and `image_sizes.txt` (`id,width,height`).
        images: Folder of the images, for boxes without sizes.
        masks: Folder that the paths of masks are relative to; default: `folder`.
        on_bad: Whether a bad box raises an error or is skipped with a log message.

    Raises:
        AnnotationError: If a line cannot be used.
        DataError: If a file is missing, or the size of an image with boxes is unknown.

    Source: the formats that wsolevaluation's `data_loaders.py` reads.
    """
    ids, path = _ids(folder / IDS), folder / GROUND_TRUTH
    labels = _labels(folder)
    has_boxes = holds_boxes(folder, if_empty=True)
    rows = list(_rows(path, 4 if has_boxes else 2))
    unlisted = {row.image for row in rows} - ids.keys()
    if unlisted:
        _logger.warning("%s: left out %d images not in %s", path, len(unlisted), IDS)
    rows = [row for row in rows if row.image in ids]
    if not has_boxes:
        return _masks(folder, ids, labels, rows, masks or folder)
    table = BoxTable(path, repeats=True, on_bad=on_bad)
    sizes = _sizes(folder / SIZES)
    for name in ids:
        table.add_image(name, labels.get(name), sizes.get(name))
    for row in rows:
        table.add(_box(path, row))
    return table.annotations(images)


def read_listing(folder: Path) -> list[LabelRow]:
    """Return the ids of a split in their order, with their labels, empty if unknown.

    `localization.txt` is not read. Errors are those of `read_metadata`.
    """
    path, labels = folder / IDS, _labels(folder)
    return [
        LabelRow(path, name, line, class_name=labels.get(name, ""))
        for name, line in _ids(path).items()
    ]


def holds_boxes(folder: Path, *, if_empty: bool = False) -> bool:
    """Return whether the ground truth of a split is boxes, not paths of masks."""
    lines = read_lines(folder / GROUND_TRUTH)
    if not lines:
        return if_empty
    try:
        return len([float(field) for field in lines[0][1].rsplit(",", 4)[1:]]) == 4
    except ValueError:
        return False


class _Row(NamedTuple):
    """Line of a file: its number, image and values."""

    line: int
    image: str
    values: list[str]


def _rows(path: Path, fields: int) -> Iterator[_Row]:
    for number, line in read_lines(path):
        # Split from the right, as ids may contain commas.
        image, *values = line.strip("\r").rsplit(",", fields)
        if len(values) != fields:
            raise AnnotationError(path, number, f"expected {fields + 1} fields, not {line!r}")
        yield _Row(number, image, values)


def _ids(path: Path) -> dict[str, int]:
    """Return the line number of each id."""
    ids: dict[str, int] = {}
    for number, line in read_lines(path):
        name = line.strip("\r")
        if name in ids:
            raise AnnotationError(path, number, f"{name!r} occurs twice")
        ids[name] = number
    return ids


def _labels(folder: Path) -> dict[str, str]:
    path = folder / LABELS
    return {row.image: row.values[0] for row in _rows(path, 1)} if path.exists() else {}


def _sizes(path: Path) -> dict[str, Size]:
    sizes = {}
    for row in _rows(path, 2) if path.exists() else ():
        try:
            sizes[row.image] = parse_size(*row.values)
        except ValueError as error:
            raise AnnotationError(path, row.line, str(error)) from error
    return sizes


def _box(path: Path, row: _Row) -> BoxRow | AnnotationError:
    try:
        x0, y0, x1, y1 = map(float, row.values)
    except ValueError as error:
        return AnnotationError(path, row.line, str(error))
    return BoxRow(path, row.image, row.line, class_name="", box=(x0, y0, x1, y1))


def _masks(
    folder: Path,
    ids: Iterable[str],
    labels: Mapping[str, str],
    rows: Iterable[_Row],
    root: Path,
) -> MaskAnnotations:
    objects: dict[str, list[Path]] = {name: [] for name in ids}
    ignored: dict[str, Path] = {}
    for row in rows:
        mask, ignore = row.values
        objects[row.image].append(root / mask)
        if ignore:
            if row.image in ignored:
                reason = f"{row.image!r} has more than one file of ignored pixels"
                raise AnnotationError(folder / GROUND_TRUTH, row.line, reason)
            ignored[row.image] = root / ignore
    files = [*(path for paths in objects.values() for path in paths), *ignored.values()]
    lost = [path for path in files if not path.is_file()]
    if lost:
        raise DataError(
            f"{lost[0]}: no such file ({len(lost)} of {len(files)} masks are missing); "
            "set --masks to the folder that their paths are relative to"
        )
    return MaskAnnotations(
        folder,
        tuple(ids),
        tuple(labels.get(name) for name in ids),
        tuple(MaskFiles(tuple(objects[name]), ignored.get(name)) for name in ids),
    )
