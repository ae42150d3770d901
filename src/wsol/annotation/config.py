"""Options of annotation."""

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
        out: output folder. Running the same command again resumes the annotation, and adds images
            that are new in the folder of images.
        labels_from: labels of the images: folders (one folder of images per class), or a file of
            labels, CSV with image,label or COCO JSON.
        class_map: file that renames, merges or leaves out classes: CSV with class,new_name, or YAML
            with class: new_name; an empty new name leaves the class out.
        split_folders: split folders above the class folders, as train=FOLDER,test=FOLDER; none
            treats every folder as a class; default: folders with names of splits.
        backbone: pretrained network, by its timm name; its weights stay frozen.
        image_size: side of the network's input in pixels.
        distill: use of a head that is distilled from the localizer's maps: auto (if its boxes agree
            with the localizer's boxes of mirrored images at least as well as the localizer's own
            boxes do), always or never.
        instances: boxes of each class: a single one, or multiple, one per object; default: multiple
            if images are multi-label, otherwise single.
        max_images: number of images to train on at most, spread evenly over all; their features are
            stored in the output folder.
        format: formats to write; wsol list formats shows them.
        val_fraction: fraction of the images with boxes that yolo lists for validation instead of
            training; 0 lists all images for both.
        copy_images: copy the images into the yolo folder instead of linking to them.
        report: number of images in the report at most, spread evenly over all; 0 writes no report.
        seed: random seed of the training.
        batch_size: images per step.
        chunk_size: images per file of features and per file of predictions. Each file is written
            when all its images are done; a stopped annotation resumes after the last file.
        overwrite: remove the annotation in the output folder and start again.
        max_errors: number of unreadable images above which the command stops with exit status 4;
            default: no limit.
        num_workers: number of processes that decode images; 0 decodes in the main process.
        max_pixels: pixel limit of an image; larger images are refused before they are decoded.
        scaled_decoding: decode large JPEG images at 1/2, 1/4 or 1/8 of their size, but at no less
            than 1.5 times image_size; much faster, with nearly the same result.
        precision: precision of the computation; auto: bfloat16 if the hardware supports it.
        device: auto (a GPU if available), cpu, cuda, cuda:1, mps or xpu.
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
        """Validate the options before anything is loaded."""
        super().__post_init__()
        check_formats(self)
        read_split_folders(self.split_folders)
        if self.labels_from != FOLDERS and self.split_folders:
            raise no_effect("split_folders", self.split_folders, "without labels_from folders")
