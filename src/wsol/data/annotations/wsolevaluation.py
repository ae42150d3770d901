"""Reader of wsolevaluation's metadata (Choe et al., CVPR 2020), with boxes or masks."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
    ids = _ids(folder / IDS)
    labels = dict(_labels(folder / LABELS))
    ground_truth = read_lines(folder / GROUND_TRUTH)
    fields = _fields(ground_truth[0][1]) if ground_truth else 4
    rows = list(_rows(folder / GROUND_TRUTH, ground_truth, fields))
    unlisted = {row.image for row in rows} - ids.keys()
    if unlisted:
        _logger.warning(
            "%s: left out %d images not in %s", folder / GROUND_TRUTH, len(unlisted), IDS
        )
    rows = [row for row in rows if row.image in ids]
    if fields == 4:
        return _boxes(folder, ids, labels, rows, images, on_bad)
    return _masks(folder, ids, labels, rows, masks or folder)


def read_listing(folder: Path) -> list[LabelRow]:
    """Return the ids of a split in their order, with their labels, empty if unknown.

    `localization.txt` is not read. Errors are those of `read_metadata`.
    """
    path, labels = folder / IDS, dict(_labels(folder / LABELS))
    return [
        LabelRow(path, name, line, class_name=labels.get(name, ""))
        for name, line in _ids(path).items()
    ]


def holds_boxes(folder: Path) -> bool:
    """Return whether the ground truth of a split is boxes, not masks."""
    ground_truth = read_lines(folder / GROUND_TRUTH) if (folder / GROUND_TRUTH).is_file() else []
    return bool(ground_truth) and _fields(ground_truth[0][1]) == 4


class _Row(NamedTuple):
    """Line of a file: its number, image and values."""

    line: int
    image: str
    values: list[str]


def _rows(path: Path, lines: Sequence[tuple[int, str]], fields: int) -> Iterator[_Row]:
    for number, line in lines:
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


def _labels(path: Path) -> Iterator[tuple[str, str]]:
    if path.exists():
        for row in _rows(path, read_lines(path), 1):
            yield row.image, row.values[0]


def _sizes(path: Path) -> Iterator[tuple[str, Size]]:
    if path.exists():
        for row in _rows(path, read_lines(path), 2):
            try:
                yield row.image, parse_size(*row.values)
            except ValueError as error:
                raise AnnotationError(path, row.line, str(error)) from error


def _fields(line: str) -> int:
    """Return the number of fields after the id: four of a box, or two paths of a mask."""
    try:
        numbers = [float(field) for field in line.rsplit(",", 4)[1:]]
    except ValueError:
        return 2
    return 4 if len(numbers) == 4 else 2


def _boxes(
    folder: Path,
    ids: Iterable[str],
    labels: Mapping[str, str],
    rows: Iterable[_Row],
    images: Path | None,
    on_bad: OnBad,
) -> BoxAnnotations:
    table = BoxTable(folder / GROUND_TRUTH, repeats=True, on_bad=on_bad)
    sizes = dict(_sizes(folder / SIZES))
    for name in ids:
        table.add_image(name, labels.get(name), sizes.get(name))
    for row in rows:
        table.add(_box(folder, row))
    return table.annotations(images)


def _box(folder: Path, row: _Row) -> BoxRow | AnnotationError:
    try:
        x0, y0, x1, y1 = map(float, row.values)
    except ValueError as error:
        return AnnotationError(folder / GROUND_TRUTH, row.line, str(error))
    return BoxRow(folder / GROUND_TRUTH, row.image, row.line, class_name="", box=(x0, y0, x1, y1))


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
