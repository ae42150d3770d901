"""The options of annotation."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from wsol.data.names import FOLDERS, read_split_folders
from wsol.formats.config import check_formats
from wsol.options import (
    BatchSize,
    Device,
    FractionBelowOne,
    ImageSize,
    MaxPixels,
    Name,
    NonNegativeInt,
    NumWorkers,
    Options,
    PositiveInt,
    Seed,
    no_effect,
)
from wsol.types import BUNDLED_BACKBONE, Instances, Precision


@dataclass(frozen=True)
class AnnotateConfig(Options):
    """Options of annotation.

    Args:
        images: folder of the images.
        out: folder to write. The same command goes on with what is there, and adds images that
            are new since.
        labels_from: labels of the images: folders, where they lie in one folder for each class, or
            a file of labels, CSV with image,label or COCO JSON.
        class_map: file that renames, merges or leaves out classes: CSV with class,new_name, or YAML
            with class: new_name; no new name leaves a class out.
        split_folders: folders above the class folders, as train=FOLDER,test=FOLDER; none makes
            every folder a class; default: those named after splits.
        backbone: the network, which stays as it is.
        image_size: side of the network's input in pixels.
        distill: whether boxes are those of a head that has learnt the localizer's maps: auto where
            it agrees with the localizer's boxes of mirrored images at least as well as the
            localizer with itself; always; never.
        instances: one box for each class, or several; default: several where images have several
            labels.
        max_images: to learn from at most, taken evenly; their features are kept in the folder.
        format: formats to write.
        val_fraction: share of the images with boxes that yolo lists for validation instead of
            training; 0 lists all for both.
        copy_images: let yolo copy images instead of linking to them.
        report: images to show at most in the folder report, spread evenly over all; 0 writes no
            report.
        seed: of everything drawn by chance.
        batch_size: images per step.
        chunk_size: images in a file of features and in one of rows, which is written when all are
            done; an annotation that was stopped goes on after the last one.
        overwrite: remove what is in the folder, and begin anew.
        max_errors: stop when more images than these cannot be read, with exit status 4; default:
            never.
        num_workers: processes that decode images; 0 decodes in this one.
        max_pixels: larger images are refused before they are decoded.
        scaled_decoding: decode large JPEG at a half, a quarter or an eighth of their size, to at
            least one and a half times size; much faster, and nearly the same.
        precision: auto is bfloat16 where the hardware supports it.
        device: auto (a GPU where there is one), cpu, cuda, cuda:1, mps or xpu.
    """

    images: Path
    out: Path
    labels_from: Path = FOLDERS
    class_map: Path | None = None
    split_folders: tuple[Name, ...] = ()
    backbone: Name = BUNDLED_BACKBONE
    image_size: ImageSize = 448
    distill: Literal["auto", "always", "never"] = "auto"
    instances: Instances | None = None
    max_images: PositiveInt = 2_000
    format: tuple[Name, ...] = ("coco", "yolo")
    val_fraction: FractionBelowOne = 0.1
    copy_images: bool = False
    report: NonNegativeInt = 5_000
    seed: Seed = 0
    batch_size: BatchSize = 16
    chunk_size: PositiveInt = 64
    overwrite: bool = False
    max_errors: NonNegativeInt | None = None
    num_workers: NumWorkers = 2
    max_pixels: MaxPixels = 50_000_000
    scaled_decoding: bool = True
    precision: Precision = "auto"
    device: Device = "auto"

    def __post_init__(self) -> None:
        """Refuse what cannot work before anything is loaded."""
        super().__post_init__()
        check_formats(self)
        read_split_folders(self.split_folders)
        if self.labels_from != FOLDERS and self.split_folders:
            raise no_effect("split_folders", self.split_folders, "without labels_from folders")
