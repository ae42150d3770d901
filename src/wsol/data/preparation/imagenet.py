"""ILSVRC 2012 (Russakovsky et al., 2015) as folders by class, with boxes."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final

from wsol._utils.meter import Meters
from wsol.data.annotations.box_file import BoxLine, read_boxes_below, write_boxes
from wsol.data.archives import Archive, Member
from wsol.data.names import parts_of
from wsol.data.preparation.checksum import MD5, check_md5
from wsol.data.preparation.config import ImagenetConfig
from wsol.data.preparation.extract import bytes_below, check_room
from wsol.data.preparation.imagenetv2 import add_imagenetv2
from wsol.data.preparation.state import State
from wsol.data.preparation.unpack import unpack, unpack_nested
from wsol.data.preparation.val_labels import read_val_labels
from wsol.data.preparation.voc import Annotation, read_voc
from wsol.errors import DataError

LARGEST_XML: Final = 2**20


def prepare_imagenet(config: ImagenetConfig, state: State, meters: Meters) -> None:
    """Write the splits that there are archives for, and `boxes.csv` for val and test.

    The official validation images become `test`, as they are in the literature, and ImageNetV2
    becomes `val`. Where `train` has a part of the classes, the others have those alone too.

    Args:
        config: The options.
        state: What is finished.
        meters: Show the progress.

    Raises:
        DataError: If an archive is refused, a class is not known, or there is no room.
    """
    archives = {"train": config.train, "val": config.val, "boxes": config.boxes}
    given = {name: path for name, path in archives.items() if path is not None}
    for path in given.values():
        state.begin(path)
    for name, path in given.items():
        if config.checksum == "md5" and not state.is_finished(path, "md5"):
            check_md5(path, MD5[name], meters)
            state.finish(path, "md5")
    check_room(config.out, _to_write(config, state))
    annotations = _read_annotations(config.boxes, meters) if config.boxes else {}
    if config.train:
        unpack_nested(config.train, config.out, route_train, state, meters)
    trained = _folders(config.out / "train")
    named = {annotation.class_name for annotation in annotations.values()}
    wnids = sorted(trained | named)
    if config.val:
        labels = {name: annotation.class_name for name, annotation in annotations.items()}
        if config.val_labels:
            labels = read_val_labels(config.val_labels, wnids) | labels
        route = ValRoute(config.val, labels, trained or set(labels.values()))
        unpack(config.val, config.out, route, state, meters)
    file = config.out / "boxes.csv"
    boxes = _test_boxes(config.out, annotations) or read_boxes_below(file, "test/")
    second = add_imagenetv2(config, wnids, trained, state, meters)
    boxes += second or read_boxes_below(file, "val/")
    if boxes:
        write_boxes(file, boxes)
    if config.boxes:
        state.finish(config.boxes)


def route_train(member: Member) -> str:
    """Return where a training picture belongs: `train/<wnid>/<name>`.

    Raises:
        DataError: If it is not in an archive of its wnid.
    """
    wnid, *rest = parts_of(member.name)
    if len(rest) != 1 or not rest[0].startswith(f"{wnid}_"):
        raise DataError(f"{member.where}: is no picture of class {wnid}; is it another archive?")
    return f"train/{wnid}/{rest[0]}"


class ValRoute:
    """Where a validation picture belongs: `test/<wnid>/<name>`.

    Args:
        archive: For messages.
        class_of: Name without suffix to wnid.
        wanted: The wnids that the data set has.
    """

    def __init__(self, archive: Path, class_of: Mapping[str, str], wanted: Collection[str]) -> None:
        """Keep what is known."""
        self.archive, self.class_of, self.wanted = archive, class_of, wanted

    def __call__(self, member: Member) -> str | None:
        """Return the place, or None where its class is not wanted.

        Raises:
            DataError: If the class is not known.
        """
        name = parts_of(member.name)[-1]
        wnid = self.class_of.get(Path(name).stem)
        if wnid is None:
            raise DataError(f"{member.where}: neither boxes nor val_labels say its class")
        return f"test/{wnid}/{name}" if wnid in self.wanted else None


def _read_annotations(path: Path, meters: Meters) -> dict[str, Annotation]:
    """Return what the XML files say, by the name of the picture without suffix."""
    found: dict[str, Annotation] = {}
    with Archive(path) as archive, meters(f"read {path.name}", archive.size) as meter:
        done = 0
        for member in archive.members():
            name = parts_of(member.name)[-1]
            if name.endswith(".xml") and not name.startswith("."):
                stem = name.removesuffix(".xml")
                if stem in found:
                    raise DataError(f"{member.where}: a second file for {stem}; refused")
                found[stem] = read_voc(member.read(LARGEST_XML), member.where)
            meter.advance(archive.position() - done)
            done = archive.position()
    if not found:
        raise DataError(f"{path}: has no XML files; boxes are those of ILSVRC2012_bbox_val_v3.tgz")
    return found


def _test_boxes(out: Path, annotations: Mapping[str, Annotation]) -> list[BoxLine]:
    """Return the boxes of the pictures that are in `test`."""
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
