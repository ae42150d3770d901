"""Preparation of ImageNetV2 (Recht et al., 2019) as val split, with wsolevaluation's boxes."""

from collections.abc import Collection, Sequence
from pathlib import Path

from wsol.data.annotations.csv import BoxLine
from wsol.data.annotations.types import Box, box_fault
from wsol.data.archives import Member, read_archive
from wsol.data.config import ImagenetConfig
from wsol.data.images import read_image_size
from wsol.data.preparation.extract import State, unpack
from wsol.errors import AnnotationError, DataError


def add_imagenetv2(
    config: ImagenetConfig,
    wnids: Sequence[str],
    trained: Collection[str],
    state: State,
) -> list[BoxLine]:
    """Write the images as `val/<wnid>/<number>/<name>`, and return their boxes.

    The archive has one folder per class, numbered from 0 in the order of the sorted wnids. The
    number is part of the path, to match wsolevaluation's metadata. If `train` has some of the
    classes, others are left out.

    Raises:
        DataError: If the classes are unknown, or boxes and images do not match.
    """
    archive = config.imagenetv2
    if archive is None:
        return []
    if not state.is_finished(archive):
        _check_classes(archive, wnids)
    names = _read_names(config.imagenetv2_names) if config.imagenetv2_names else {}
    published = {after: before for before, after in names.items()}

    def route(member: Member) -> str | None:
        number = _number(member)
        wnid = wnids[number]
        if trained and wnid not in trained:
            return None
        name = f"{number}/{member.parts[-1]}"
        return f"val/{wnid}/{published.get(name, name)}"

    unpack(archive, config.out, route, state)
    there = {
        path.relative_to(config.out / "val").as_posix().partition("/")[2]: path
        for path in sorted((config.out / "val").glob("*/*/*"))
        if not path.name.startswith(".")
    }
    if config.imagenetv2_boxes is None:
        return []
    numbers = {name.partition("/")[0] for name in there}
    return _boxes(config.imagenetv2_boxes, config.out, there, numbers, wnids)


def _check_classes(archive: Path, wnids: Sequence[str]) -> None:
    """Raise an error if the class numbers of an archive do not match the known classes."""
    numbers = {_number(member) for member in read_archive(archive)}
    if numbers != set(range(len(wnids))):
        raise DataError(
            f"{archive}: has {len(numbers)} classes, numbered to {max(numbers, default=0)}, but "
            f"{len(wnids)} are known; set --boxes to the official boxes, which contain all 1,000"
        )


def _number(member: Member) -> int:
    parts = member.parts
    if len(parts) < 2 or not parts[-2].isdecimal():
        raise DataError(f"{member.where}: not an image <class number>/<image>; check the archive")
    return int(parts[-2])


def _read_names(path: Path) -> dict[str, str]:
    """Return the name in the archive by the name in the file of boxes."""
    names: dict[str, str] = {}
    for number, line in read_lines(path):
        before, comma, after = (part.strip() for part in line.partition(","))
        if not comma or before.count("/") != 1 or after.count("/") != 1:
            raise AnnotationError(path, number, f"expected two names, not {line!r}")
        names[before] = after
    return names


def _boxes(
    path: Path, out: Path, there: dict[str, Path], numbers: Collection[str], wnids: Sequence[str]
) -> list[BoxLine]:
    lines: dict[tuple[str, Box], BoxLine] = {}
    for number, line in read_lines(path):
        if line.startswith("image_id,"):
            continue
        name, box = _box(path, number, line)
        label = name.partition("/")[0]
        if not label.isdecimal() or int(label) >= len(wnids):
            raise AnnotationError(path, number, f"no class {label!r}")
        if label not in numbers:
            # The class is not in the data set.
            continue
        file = there.get(name)
        if file is None:
            reason = f"no image {name!r}; set imagenetv2_names for archives since 2020"
            raise AnnotationError(path, number, reason)
        image = file.relative_to(out).as_posix()
        lines[image, box] = BoxLine(image, wnids[int(label)], box, read_image_size(file))
    return list(lines.values())


def _box(path: Path, number: int, line: str) -> tuple[str, Box]:
    """Return the last two parts of the image name, and the box."""
    fields = line.split(",")
    try:
        x0, y0, x1, y1 = map(float, fields[1:])
    except ValueError as error:
        raise AnnotationError(path, number, f"expected a name and a box: {error}") from error
    box = x0, y0, x1, y1
    fault = box_fault(box)
    if fault:
        raise AnnotationError(path, number, fault)
    return "/".join(fields[0].split("/")[-2:]), box


def read_lines(path: Path) -> list[tuple[int, str]]:
    """Return the lines of a text file that are not empty, stripped, with their numbers from 1."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
    return [
        (number, line.strip()) for number, line in enumerate(text.split("\n"), 1) if line.strip()
    ]
