"""YOLO data set for training with Ultralytics."""

import logging
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import yaml
from PIL import Image, ImageChops, TiffImagePlugin

from wsol._utils.names import YOLO_RESERVED, escape_name
from wsol.data.images import load_image, open_image, orientation
from wsol.errors import DataError, ImageError
from wsol.formats._files import FolderWriter, TempTextFile
from wsol.results.localization import Localization, PredictionInfo

log = logging.getLogger("wsol")

READ = {
    "BMP": (".bmp",),
    "JPEG": (".jpg", ".jpeg", ".mpo"),
    "PNG": (".png",),
    "TIFF": (".tif", ".tiff"),
    "WEBP": (".webp",),
}
"""Suffixes of the image formats that all versions of Ultralytics read, preferred suffix first."""


class YoloWriter(FolderWriter):
    """Writes ``yolo/``: ``data.yaml``, two lists of images, ``images/``, ``labels/`` and more.

    A label is a line ``class x y width height``, with the center and size of the box as fractions
    of the image as displayed. Training programs do not accept scores, so these are in
    ``confidences/``, as the sixth number of each line. Classes are those that occur, numbered from
    0.

    Images are relative links, or copies. Images that training programs cannot read, because of
    their format or because the programs ignore their orientation, are converted to PNG.
    ``train.txt`` and ``val.txt`` list the images with boxes only, as images without boxes may still
    contain objects.

    Args:
        folder: existing output folder.
        info: information on the prediction, with the classes and the folder of the images.
        val_fraction: fraction of the listed images in ``val.txt``, spread evenly over all, at least
            one of two; with 0, ``train.txt`` is used for both.
        copy_images: whether to copy images instead of linking to them.

    Raises:
        ConfigError: an existing folder ``yolo`` was not written by wsol.
    """

    name = "yolo"
    reserved = YOLO_RESERVED

    def __init__(
        self,
        folder: Path,
        info: PredictionInfo,
        val_fraction: float = 0.1,
        copy_images: bool = False,
    ) -> None:
        """Check the output folder."""
        super().__init__(folder, info)
        self.val_fraction, self.copy_images = val_fraction, copy_images
        self.lists = {"train": TempTextFile(folder), "val": TempTextFile(folder)}
        self.listed = dict.fromkeys(self.lists, 0)
        self.unlisted = 0
        self.damaged: ImageError | None = None
        self.classes: set[int] = set()

    def write(self, result: Localization) -> str:
        """Write the files of an image.

        Raises:
            DataError: the image has been moved, or can no longer be decoded.
        """
        stem = self.folder.stem("labels", result, ".txt")
        source = self.info.path(result).absolute()
        try:
            suffix = _suffix(source)
        except ImageError as error:
            # The image was readable during the prediction.
            self.damaged = self.damaged or error
            suffix = source.suffix or ".jpg"
        file = f"images/{stem}{suffix or '.png'}"
        if suffix:
            _link(source, self.folder.path(file), self.copy_images)
        else:
            _write_png(source, self.folder.path(file))
        self._list(file, len(result.boxes))
        boxes = result.boxes / np.tile(np.array(result.original_size), 2)
        centres, sizes = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
        self.classes.update(result.box_labels.tolist())
        labels = [
            f"{label} " + " ".join(f"{value:.9f}" for value in numbers)
            for label, numbers in zip(
                result.box_labels.tolist(), np.hstack((centres, sizes)).tolist(), strict=True
            )
        ]
        scores = result.box_scores.tolist()
        _write_lines(self.folder.path(f"labels/{stem}.txt"), labels)
        _write_lines(
            self.folder.path(f"confidences/{stem}.txt"),
            [f"{line} {score!r}" for line, score in zip(labels, scores, strict=True)],
        )
        return file

    def close(self) -> None:
        """Write lists and ``data.yaml``, and rename the folder to its final name."""
        for folder in ("images", "labels", "confidences"):
            (self.folder.chunk / folder).mkdir(exist_ok=True)
        classes = sorted(self.classes)
        if classes != list(range(len(classes))):
            self._renumber({str(label): number for number, label in enumerate(classes)})
        for name, lines in self.lists.items():
            with self.folder.path(f"{name}.txt").open("w", encoding="utf-8", newline="") as file:
                lines.copy_to(file)
        names = {
            number: escape_name(self.info.names[label]) for number, label in enumerate(classes)
        }
        # Without "path", paths are relative to the folder of this file, which can be moved.
        val = "val.txt" if self.listed["val"] else "train.txt"
        content = {"train": "train.txt", "val": val, "nc": len(names), "names": names}
        text = yaml.safe_dump(content, allow_unicode=True, sort_keys=False, width=10**6)
        self.folder.path("data.yaml").write_text(text, encoding="utf-8")
        super().close()
        if self.damaged is not None:
            log.warning("%s; exporting it and other unreadable images unchanged", self.damaged)
        if self.unlisted:
            log.info(
                "%s: %d images without a box are not listed for training",
                self.folder.folder,
                self.unlisted,
            )

    def _list(self, file: str, boxes: int) -> None:
        if not boxes:
            self.unlisted += 1
            return
        total = sum(self.listed.values())
        split = "val" if self.listed["val"] < self.val_fraction * total else "train"
        self.listed[split] += 1
        self.lists[split].file.write(f"./{file}\n")

    def _renumber(self, numbers: dict[str, int]) -> None:
        """Rewrite the class numbers, which are only known after all boxes."""
        for folder in ("labels", "confidences"):
            for path in (self.folder.chunk / folder).rglob("*.txt"):
                rows = (line.partition(" ") for line in path.read_text("utf-8").splitlines())
                _write_lines(path, [f"{numbers[label]} {rest}" for label, _, rest in rows])


def _suffix(path: Path) -> str:
    """Return the suffix with which training programs read an image, or "" if they cannot.

    The programs check suffix and content, and apply the orientation of JPEG files only.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file; set --images to the folder of the images")
    with open_image(path, sys.maxsize) as image:
        suffixes = READ.get(image.format or "", ())
        if not suffixes or image.mode.startswith(("I", "F")) or _is_turned(image):
            return ""
    return path.suffix if path.suffix.lower() in suffixes else suffixes[0]


def _is_turned(image: Image.Image) -> bool:
    if image.format == "JPEG":
        return False
    # A PNG without orientation in its header is not decoded to search for it.
    has_orientation = "exif" in image.info or isinstance(image, TiffImagePlugin.TiffImageFile)
    return has_orientation and orientation(image) != 1


def _write_png(source: Path, target: Path) -> None:
    try:
        image = load_image(source, max_pixels=sys.maxsize)
    except ImageError as error:
        raise DataError(f"{error}; predict the images again") from error
    gray = image.convert("L")
    is_gray = ImageChops.difference(image, gray.convert("RGB")).getbbox() is None
    (gray if is_gray else image).save(target, "png")


def _link(source: Path, target: Path, copy: bool) -> None:
    if not copy:
        try:
            # Relative links are resolved from their real folder.
            target.symlink_to(os.path.relpath(source, os.path.realpath(target.parent)))
        except (OSError, ValueError):
            copy = True
    if copy:
        shutil.copyfile(source, target)


def _write_lines(path: Path, lines: list[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
