"""YOLO: a folder that Ultralytics' readers train on."""

import shutil
from pathlib import Path, PurePosixPath

import numpy as np
import yaml

from wsol.errors import DataError
from wsol.formats.about import About
from wsol.formats.tree import Tree
from wsol.localization import Localization
from wsol.portable import YOLO_RESERVED, portable


class YoloWriter:
    """Writes ``yolo/``: ``data.yaml``, ``images/`` (links), ``labels/`` and ``confidences/``.

    A label is a line ``class x y width height``, the box's centre and size as shares of the
    picture as displayed. Training readers take no score, so it is in ``confidences/``, where the
    lines have it as their sixth number.

    Args:
        folder: to write to; it exists.
        about: has the classes, whose numbers start at 0, and the pictures' folder.

    Raises:
        ConfigError: a folder ``yolo`` is there that was not written by wsol.
    """

    def __init__(self, folder: Path, about: About) -> None:
        """Start with no pictures."""
        self.about = about
        # Readers find labels by the last folder of this name.
        self.tree = Tree(folder, "yolo", reserved=YOLO_RESERVED)

    def add(self, result: Localization) -> None:
        """Add one picture.

        Raises:
            DataError: the picture is not where it was.
        """
        if result.error is not None:
            self.tree.note(result)
            return
        stem = self.tree.stem("labels", result, ".txt")
        suffix = PurePosixPath(self.tree.named(result)).suffix
        file = f"images/{stem}{suffix or '.jpg'}"
        self.tree.note(result, file)
        _link(self.about.path(result), self.tree.path(file))
        boxes = result.boxes / np.tile(np.array(result.image_size), 2)
        centres, sizes = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
        labels = [
            f"{label} " + " ".join(f"{value:.9f}" for value in numbers)
            for label, numbers in zip(
                result.box_labels.tolist(), np.hstack((centres, sizes)).tolist(), strict=True
            )
        ]
        scores = result.box_scores.tolist()
        _write_lines(self.tree.path(f"labels/{stem}.txt"), labels)
        _write_lines(
            self.tree.path(f"confidences/{stem}.txt"),
            [f"{line} {score!r}" for line, score in zip(labels, scores, strict=True)],
        )

    def close(self) -> None:
        """Write ``data.yaml``, and move the folder to its place."""
        names = {number: portable(name) for number, name in enumerate(self.about.classes)}
        for folder in ("images", "labels", "confidences"):
            (self.tree.part / folder).mkdir(exist_ok=True)
        # Without a path: it is then the folder of this file, wherever that goes.
        content = {"train": "images", "val": "images", "nc": len(names), "names": names}
        text = yaml.safe_dump(content, allow_unicode=True, sort_keys=False, width=10**6)
        self.tree.path("data.yaml").write_text(text, encoding="utf-8")
        self.tree.close()


def _link(source: Path, target: Path) -> None:
    source = source.absolute()
    if not source.is_file():
        raise DataError(f"{source}: no such file; say with --images where the pictures are now")
    try:
        target.symlink_to(source)
    except OSError:
        shutil.copyfile(source, target)


def _write_lines(path: Path, lines: list[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
