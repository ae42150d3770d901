"""Options of annotation."""

from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Literal

from wsol.data.names import FOLDERS
from wsol.options import (
    ImageSize,
    Name,
    PositiveInt,
    Seed,
)
from wsol.prediction.config import CollectionOptions
from wsol.types import BUNDLED_BACKBONE, Instances


@dataclass(frozen=True)
class AnnotateConfig(CollectionOptions):
    """Options of annotation.

    Args:
        images: folder of the images.
        out: output folder. Running the same command again resumes the annotation, and adds images
            that are new in the folder of images.
        labels_from: labels of the images: folders (one folder of images per class), or a file of
            labels, CSV with image,label or COCO JSON.
        backbone: pretrained network, by its timm name; its weights stay frozen.
        image_size: side of the network's input in pixels.
        distill: use of a head that is distilled from the localizer's maps: auto (if its boxes agree
            with the localizer's boxes of mirrored images at least as well as the localizer's own
            boxes do), always or never.
        instances: boxes of each class: a single one, or multiple, one per object; default: multiple
            if images are multi-label, otherwise single.
        max_images: number of images to train on at most, spread evenly over those of the first
            call; their features are stored in the output folder.
        seed: random seed of the training.
        chunk_size: images per file of features and per file of predictions. Each file is written
            when all its images are done; a stopped annotation resumes after the last file.
        overwrite: remove the annotation in the output folder and start again.
        precision: floating-point precision; auto selects bfloat16 if the hardware supports it.
    """

    images: Path
    out: Path
    _: KW_ONLY
    labels_from: Path = FOLDERS
    backbone: Name = BUNDLED_BACKBONE
    image_size: ImageSize = 448
    distill: Literal["auto", "always", "never"] = "auto"
    instances: Instances | None = None
    max_images: PositiveInt = 2_000
    seed: Seed = 0
    chunk_size: PositiveInt = 64
    overwrite: bool = False
    format: tuple[Name, ...] = ("coco", "yolo")
