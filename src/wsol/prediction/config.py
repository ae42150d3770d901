"""The options of prediction."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from wsol.data.names import FOLDERS, read_split_folders
from wsol.formats.config import check_formats
from wsol.options import (
    BatchSize,
    Device,
    FractionBelowOne,
    ImageSize,
    MaxPixels,
    Name,
    NonNegativeFloat,
    NonNegativeInt,
    NotEmpty,
    NumWorkers,
    Options,
    PositiveInt,
    Scale,
    Threshold,
    Unsplit,
    no_effect,
    refusal,
)
from wsol.types import BUNDLED_BACKBONE, Instances, Normalization, Precision


@dataclass(frozen=True)
class PredictConfig(Options):
    """Options of prediction.

    Args:
        images: image files or folders, or the URI of one folder elsewhere, as s3://bucket/photos.
        out: folder to write, or its URI, as s3://bucket/boxes.
        run: a run folder, hf:owner/name on the Hub, or an ONNX file of wsol export; default: a
            pretrained network.
        backbone: the pretrained network where no run is given, by its timm name. Its classes are
            those of ImageNet; one without a classifier finds objects of one class, object.
        localizer: makes the score maps; default: the run's, or prototypes.
            One that is given leaves nothing of that reading.
        layers: modules of the network whose features the localizer reads; default: the run's; with
            --localizer, or without a run, found and logged.
        affinity: a module of the network whose features the score map then follows; default: the
            run's, or auto without a run; with --localizer, none.
        flip: average score maps with those of the flipped image; default: the run's; with
            --localizer, or without a run, false.
        scales: average score maps over images of these sizes, as shares of size; default: the
            run's; with --localizer, or without a run, the image as it is.
        normalization: how score maps are scaled to [0, 1]: by minimum and maximum (minmax), by the
            maximum alone (max), with a percentile at the top (pas) or at the bottom (ivr), or so
            that Otsu's threshold of each map becomes a half (otsu); default: the run's; with
            --localizer, or without a run, otsu with threshold auto (minmax for prototypes) and
            minmax with a number.
        threshold: fraction of the score map's maximum above which a pixel belongs to the object, or
            auto: each map's own, and 0.5 for prototypes; default: the run's where it was chosen on
            boxes, otherwise auto.
        labels: names or indices of the classes to look for in each image, with commas between
            them; names may have commas too. Where two classes have one name, crane#517 is the one
            with index 517. Default: those that the network sees there, one or, for a run on
            images of several labels, several.
        labels_from: labels that are known of the images, whose classes are looked for instead of
            those that the network sees: folders, where the images lie in one folder for each class,
            or a file of labels, CSV with image,label or COCO JSON. Names are those of the run;
            without a run any names.
        class_map: file that renames, merges or leaves out classes of these labels: CSV with
            class,new_name, or YAML with class: new_name; no new name leaves a class out.
        split_folders: folders above the class folders, as train=FOLDER,test=FOLDER; none makes
            every folder a class; default: those named after splits.
        instances: one box for each class, or several; default: several for such a run.
        image_size: side of the network's input in pixels; default: the run's, or 448.
        save_overlays: also write an overlay of heat map and boxes for each image.
        format: formats to write.
        val_fraction: share of the images with boxes that yolo lists for validation instead of
            training; 0 lists all for both.
        copy_images: let yolo copy images instead of linking to them.
        report: images to show at most in the folder report, spread evenly over all; 0 writes no
            report.
        batch_size: images per step.
        chunk_size: images in a file of rows, which is written when all are done; a prediction that
            was stopped goes on after the last one.
        shard: which share of the images to predict, of how many, as 1/8 to 8/8 in eight processes
            with the same --out; the last one to end makes formats and report.
        overwrite: remove another prediction that is in the folder, instead of refusing it.
        engine: local predicts in this process, ray in those of a cluster (extra ray), which is the
            one that RAY_ADDRESS names, or this machine.
        actors: processes of the cluster that predict; default: as many as it has room for.
        gpus: that each of them takes; a half lets two share one.
        max_errors: stop when more images than these cannot be read, with exit status 4; default:
            never.
        num_workers: processes that decode images; 0 decodes in this one.
        max_pixels: larger images are refused before they are decoded.
        scaled_decoding: decode large JPEG at a half, a quarter or an eighth of their size, to at
            least one and a half times size; much faster, and nearly the same.
        precision: auto is that of the run, or without one bfloat16 where the hardware supports it.
        device: auto (a GPU where there is one), cpu, cuda, cuda:1, mps or xpu.
    """

    images: Annotated[list[Path], NotEmpty()]
    out: Path
    run: Path | None = None
    backbone: Name = BUNDLED_BACKBONE
    localizer: Name | None = None
    layers: tuple[Name, ...] = ()
    affinity: str = ""
    flip: bool = False
    scales: tuple[Scale, ...] = ()
    normalization: Normalization | None = None
    threshold: Threshold | None = None
    labels: Annotated[tuple[Name, ...], Unsplit()] = ()
    labels_from: Path | None = None
    class_map: Path | None = None
    split_folders: tuple[Name, ...] = ()
    instances: Instances | None = None
    image_size: ImageSize | None = None
    save_overlays: bool = False
    format: tuple[Name, ...] = ("coco",)
    val_fraction: FractionBelowOne = 0.1
    copy_images: bool = False
    report: NonNegativeInt = 5_000
    batch_size: BatchSize = 16
    chunk_size: PositiveInt = 512
    shard: str = ""
    overwrite: bool = False
    max_errors: NonNegativeInt | None = None
    engine: Literal["local", "ray"] = "local"
    actors: PositiveInt | None = None
    gpus: NonNegativeFloat = 0.0
    num_workers: NumWorkers = 2
    max_pixels: MaxPixels = 50_000_000
    scaled_decoding: bool = True
    precision: Precision = "auto"
    device: Device = "auto"

    def __post_init__(self) -> None:
        """Refuse what cannot work before anything is loaded."""
        super().__post_init__()
        check_formats(self)
        shard_of(self.shard, 1)
        if self.run is not None and self.backbone != BUNDLED_BACKBONE:
            raise no_effect("backbone", self.backbone, "with a run")
        if self.labels_from is not None and self.labels:
            raise no_effect("labels", self.labels, "with labels_from")
        if self.labels_from is None and self.class_map is not None:
            raise no_effect("class_map", self.class_map, "without labels_from")
        if self.labels_from != FOLDERS and self.split_folders:
            raise no_effect("split_folders", self.split_folders, "without labels_from folders")
        read_split_folders(self.split_folders)
        for option in ("actors", "gpus"):
            if self.engine != "ray" and getattr(self, option):
                raise no_effect(option, getattr(self, option), f"with engine {self.engine}")
        if self.device == "cpu" and self.gpus:
            raise refusal("gpus", self.gpus, "leave it out, or use device auto")
        if self.overwrite and self.shard:
            raise refusal(
                "overwrite",
                True,
                "remove the folder and start all shards without it, as it would remove what other "
                "shards have written",
            )


def shard_of(shard: str, chunks: int) -> range:
    """Return the parts of one of several processes that share a prediction.

    Args:
        shard: which of how many, ``1/8`` to ``8/8``; empty: all parts.
        chunks: how many there are.

    Raises:
        ConfigError: not such a text.

    >>> list(shard_of("2/3", chunks=8))
    [1, 4, 7]
    """
    first, _, count = (shard or "1/1").partition("/")
    if not (first.isdecimal() and count.isdecimal() and 1 <= int(first) <= int(count)):
        raise refusal("shard", shard, "use which of how many, from 1/8 to 8/8 for eight")
    return range(int(first) - 1, chunks, int(count))
