"""Preparation of ILSVRC 2012 (Russakovsky et al., 2015) as class folders with boxes."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from xml.etree.ElementTree import Element
from xml.parsers import expat

from wsol.data.annotations.csv import BoxLine, read_boxes_below, write_boxes
from wsol.data.annotations.types import Box, Size, box_fault, size_fault
from wsol.data.annotations.voc import parse_xml, text_of
from wsol.data.archives import Member, read_archive
from wsol.data.config import ImagenetConfig
from wsol.data.preparation.download import check_md5
from wsol.data.preparation.extract import (
    Route,
    State,
    bytes_below,
    check_disk_space,
    unpack,
    unpack_nested,
)
from wsol.data.preparation.imagenetv2 import add_imagenetv2, read_lines
from wsol.errors import AnnotationError, DataError


def read_val_labels(path: Path, wnids: Sequence[str]) -> dict[str, str]:
    r"""Read the class of each validation image.

    Args:
        path: Text file with one image and its class per line; further fields are ignored. The class
            is a wnid, or a number from 0 in the order of the sorted wnids, as in the `val.txt` of
            the authors and of Caffe. The devkit's `ILSVRC2012_validation_ground_truth.txt` is
            refused, as its numbers from 1 are in another order, which is only defined in its
            MATLAB file.
        wnids: All classes, sorted.

    Returns:
        wnid by image name, without folders and suffix.

    Raises:
        AnnotationError: If a line cannot be used.
        DataError: If the file cannot be read.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "val.txt")
    ...     _ = file.write_text("ILSVRC2012_val_00000001.JPEG 1 3 4 50 60\n")
    ...     read_val_labels(file, ["n01", "n02"])
    {'ILSVRC2012_val_00000001': 'n02'}
    """
    labels: dict[str, str] = {}
    for number, line in read_lines(path):
        fields = line.split()
        if len(fields) == 1:
            raise AnnotationError(
                path,
                number,
                "expected an image and its class, not the numbers of the devkit; use "
                "ILSVRC2012_bbox_val_v3.tgz as boxes instead",
            )
        name, label = Path(fields[0]).stem, fields[1]
        if label.isdecimal():
            if int(label) >= len(wnids):
                reason = f"no class {label}; use 0 to {len(wnids) - 1}"
                raise AnnotationError(path, number, reason)
            label = wnids[int(label)]
        if labels.setdefault(name, label) != label:
            raise AnnotationError(path, number, f"{name!r} has two classes")
    return labels


@dataclass(frozen=True)
class Annotation:
    """Content of an XML file: the class of all objects, and their unique boxes `x0 y0 x1 y1`."""

    class_name: str
    size: Size
    boxes: tuple[Box, ...]


def read_voc(content: bytes, where: str) -> Annotation:
    r"""Read an XML file of boxes; a document type, which could define entities, is refused.

    Raises:
        AnnotationError: If the file is not valid, has no object, or has objects of two classes.

    >>> text = b'''<annotation><size><width>50</width><height>40</height></size><object>
    ... <name>n01</name><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>30</xmax><ymax>20</ymax></bndbox>
    ... </object></annotation>'''
    >>> read_voc(text, "a.xml")
    Annotation(class_name='n01', size=(50, 40), boxes=((1.0, 2.0, 30.0, 20.0),))
    """
    try:
        root = parse_xml(content)
        size = int(_text(root, "size/width")), int(_text(root, "size/height"))
        objects = root.findall("object")
        names = {_text(item, "name") for item in objects}
        boxes = [_box(item) for item in objects]
    except (expat.ExpatError, ValueError) as error:
        raise AnnotationError(where, None, f"cannot be read: {error}") from error
    faults = [size_fault(size), *(box_fault(box) for box in boxes)]
    fault = next((fault for fault in faults if fault), None)
    if fault:
        raise AnnotationError(where, None, fault)
    if len(names) != 1:
        raise AnnotationError(where, None, f"has objects of {len(names)} classes, not 1")
    # Some boxes of ILSVRC occur twice.
    return Annotation(names.pop(), size, tuple(dict.fromkeys(boxes)))


def _box(item: Element) -> Box:
    x0, y0, x1, y1 = (
        float(_text(item, f"bndbox/{name}")) for name in ("xmin", "ymin", "xmax", "ymax")
    )
    return x0, y0, x1, y1


def _text(item: Element, path: str) -> str:
    text = text_of(item, path)
    if not text:
        raise ValueError(f"has no {path} in {item.tag}")
    return text


LARGEST_XML: Final = 2**20


def prepare_imagenet(config: ImagenetConfig, state: State) -> None:
    """Write the splits of the configured archives, and `boxes.csv` for val and test.

    The official validation images become `test`, as in the literature, and ImageNetV2 becomes
    `val`. If `train` has only some of the classes, so have the other splits.

    Raises:
        DataError: If an archive is refused, a class is unknown, or there is too little disk space.
    """
    archives = {"train": config.train, "val": config.val, "boxes": config.boxes}
    given = {name: path for name, path in archives.items() if path is not None}
    for path in given.values():
        state.begin(path)
    for name, path in given.items():
        if config.checksum == "md5":
            check_md5(path, name, state)
    check_disk_space(config.out, _to_write(config, state))
    annotations = _read_annotations(config.boxes) if config.boxes else {}
    if config.train:
        unpack_nested(config.train, config.out, route_train, state)
    trained = _folders(config.out / "train")
    named = {annotation.class_name for annotation in annotations.values()}
    wnids = sorted(trained | named)
    if config.val:
        labels = {name: annotation.class_name for name, annotation in annotations.items()}
        if config.val_labels:
            labels = read_val_labels(config.val_labels, wnids) | labels
        route = val_route(labels, trained or set(labels.values()))
        unpack(config.val, config.out, route, state)
    file = config.out / "boxes.csv"
    boxes = _test_boxes(config.out, annotations) or read_boxes_below(file, "test/")
    second = add_imagenetv2(config, wnids, trained, state)
    boxes += second or read_boxes_below(file, "val/")
    if boxes:
        write_boxes(file, boxes)
    if config.boxes:
        state.finish(config.boxes)


def route_train(member: Member) -> str:
    """Return the output path of a training image: `train/<wnid>/<name>`."""
    wnid, *rest = member.parts
    if len(rest) != 1 or not rest[0].startswith(f"{wnid}_"):
        raise DataError(f"{member.where}: not an image of class {wnid}; use the official archive")
    return f"train/{wnid}/{rest[0]}"


def val_route(class_of: Mapping[str, str], wnids: Collection[str]) -> Route:
    """Return the route of validation images, `test/<wnid>/<name>`, by image name without suffix.

    Images of classes that are not in the data set are skipped; the route raises DataError if the
    class is unknown.
    """

    def route(member: Member) -> str | None:
        name = member.parts[-1]
        wnid = class_of.get(Path(name).stem)
        if wnid is None:
            raise DataError(
                f"{member.where}: its class is in neither boxes nor val_labels; use complete ones"
            )
        return f"test/{wnid}/{name}" if wnid in wnids else None

    return route


def _read_annotations(path: Path) -> dict[str, Annotation]:
    """Return the content of the XML files by image name without suffix."""
    found: dict[str, Annotation] = {}
    for member in read_archive(path):
        name = member.parts[-1]
        if name.endswith(".xml") and not name.startswith("."):
            stem = name.removesuffix(".xml")
            if stem in found:
                raise DataError(f"{member.where}: duplicate of {stem}; get the archive again")
            found[stem] = read_voc(member.read(LARGEST_XML), member.where)
    if not found:
        raise DataError(f"{path}: contains no XML files; use ILSVRC2012_bbox_val_v3.tgz as boxes")
    return found


def _test_boxes(out: Path, annotations: Mapping[str, Annotation]) -> list[BoxLine]:
    """Return the boxes of the images in `test`."""
    lines: list[BoxLine] = []
    for wnid in sorted(_folders(out / "test")):
        for path in sorted((out / "test" / wnid).iterdir()):
            annotation = annotations.get(path.stem)
            if annotation and not path.name.startswith("."):
                name = f"test/{wnid}/{path.name}"
                lines += [BoxLine(name, wnid, box, annotation.size) for box in annotation.boxes]
    return lines


def _folders(root: Path) -> set[str]:
    if not root.is_dir():
        return set()
    return {path.name for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")}


def _to_write(config: ImagenetConfig, state: State) -> int:
    folders = {"train": config.train, "test": config.val, "val": config.imagenetv2}
    needed = 0
    for name, path in folders.items():
        if path is not None and not state.is_finished(path):
            needed += max(path.stat().st_size - bytes_below(config.out / name), 0)
    return needed
