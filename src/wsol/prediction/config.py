"""Options of prediction."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from wsol.data.names import FOLDERS, read_split_folders
from wsol.formats.config import FormatOptions
from wsol.inference.config import ComputeOptions, PredictorOptions
from wsol.options import (
    NOT_EMPTY,
    UNSPLIT,
    MaxPixels,
    Name,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveInt,
    no_effect,
    refusal,
)
from wsol.types import BUNDLED_BACKBONE


@dataclass(frozen=True, kw_only=True)
class CollectionOptions(FormatOptions, ComputeOptions):
    """Options of commands that localize the objects of a collection of images.

    Args:
        class_map: file that renames, merges or leaves out classes of labels_from: CSV with
            class,new_name, or YAML with class: new_name; an empty new name leaves the class out.
        split_folders: split folders above the class folders, as train=FOLDER,test=FOLDER; none
            treats every folder as a class; default: folders with names of splits.
        report: number of images in the report at most, spread evenly over all; 0 writes no report.
        max_errors: number of unreadable images above which the command stops with exit status 4;
            default: no limit.
        max_pixels: pixel limit of an image; larger images are refused before they are decoded.
        scaled_decoding: decode large JPEG images at 1/2, 1/4 or 1/8 of their size, but at no less
            than 1.5 times image_size; much faster, with nearly the same result.
    """

    labels_from: Path | None = None
    class_map: Path | None = None
    split_folders: tuple[Name, ...] = ()
    report: NonNegativeInt = 5_000
    max_errors: NonNegativeInt | None = None
    max_pixels: MaxPixels = 50_000_000
    scaled_decoding: bool = True

    def __post_init__(self) -> None:
        """Validate the options before anything is loaded."""
        super().__post_init__()
        if self.labels_from != FOLDERS and self.split_folders:
            raise no_effect("split_folders", self.split_folders, "without labels_from folders")
        read_split_folders(self.split_folders)


@dataclass(frozen=True)
class PredictConfig(PredictorOptions, CollectionOptions):
    """Options of prediction.

    Args:
        images: image files or folders, which are searched recursively, or the URI of a single
            remote folder, such as s3://bucket/photos.
        out: output folder, or its URI, such as s3://bucket/boxes.
        run: run folder, hf:owner/name on the Hub, or an ONNX file of wsol export; default: a
            pretrained network.
        labels: names or indices of the classes to localize in each image, separated by commas;
            names may contain commas. If two classes share a name, crane#517 is the class with
            index 517. Default: the classes that the network predicts, one per image, or one or more
            for a run that was trained on multi-label images.
        labels_from: known labels of the images, whose classes are localized instead of the
            predicted ones: folders (one folder of images per class), or a file of labels, CSV with
            image,label or COCO JSON. With a run, the names must be classes of the run.
        save_overlays: write an overlay of heat map and boxes for each image.
        chunk_size: images per file of predictions. Each file is written when all its images are
            done; a stopped prediction resumes after the last file.
        shard: share of the images to predict, 1/8 to 8/8 for eight processes with the same --out;
            the last process to finish writes formats and report.
        overwrite: remove an existing prediction in the output folder; by default, the command
            refuses a prediction with other options.
        engine: local predicts in this process; ray in processes of a Ray cluster (extra ray), which
            RAY_ADDRESS names, or on this machine if it is not set.
        actors: number of cluster processes that predict; default: as many as the cluster can run.
        gpus: GPUs per cluster process; with 0.5, two processes share a GPU.
    """

    images: Annotated[list[Path], NOT_EMPTY]
    out: Path
    run: Path | None = None
    labels: Annotated[tuple[Name, ...], UNSPLIT] = ()
    save_overlays: bool = False
    chunk_size: PositiveInt = 512
    shard: str = ""
    overwrite: bool = False
    engine: Literal["local", "ray"] = "local"
    actors: PositiveInt | None = None
    gpus: NonNegativeFloat = 0.0

    def __post_init__(self) -> None:
        """Validate the options before anything is loaded."""
        super().__post_init__()
        shard_of(self.shard, 1)
        if self.run is not None and self.backbone != BUNDLED_BACKBONE:
            raise no_effect("backbone", self.backbone, "with a run")
        if self.labels_from is not None and self.labels:
            raise no_effect("labels", self.labels, "with labels_from")
        if self.labels_from is None and self.class_map is not None:
            raise no_effect("class_map", self.class_map, "without labels_from")
        for option in ("actors", "gpus"):
            if self.engine != "ray" and getattr(self, option):
                raise no_effect(option, getattr(self, option), f"with engine {self.engine}")
        if self.device == "cpu" and self.gpus:
            raise refusal("gpus", self.gpus, "leave it out, or use device auto")
        if self.overwrite and self.shard:
            raise refusal(
                "overwrite",
                True,
                "remove the output folder and start all shards without --overwrite, which would "
                "remove the results of other shards",
            )


def shard_of(shard: str, chunks: int) -> range:
    """Return the chunks of one shard of a prediction.

    Raises:
        ConfigError: the shard is not valid.

    >>> list(shard_of("2/3", chunks=8))
    [1, 4, 7]
    """
    first, _, count = (shard or "1/1").partition("/")
    if not (first.isdecimal() and count.isdecimal() and 1 <= int(first) <= int(count)):
        raise refusal("shard", shard, "use NUMBER/COUNT, such as 1/8 to 8/8 for eight shards")
    return range(int(first) - 1, chunks, int(count))
