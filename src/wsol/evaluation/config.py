"""Options of evaluation: of runs, of score maps from files, and of comparisons."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from wsol.data.annotations.types import OnBad
from wsol.data.names import read_split_folders
from wsol.options import (
    BatchSize,
    Device,
    FractionBelowOne,
    ImageSize,
    MaxPixels,
    Name,
    NonNegativeInt,
    NotEmpty,
    NumWorkers,
    Options,
    Range,
    Scale,
    Seed,
    Threshold,
    no_effect,
    refusal,
)
from wsol.runs.hub import is_on_hub
from wsol.types import BUNDLED_BACKBONE, Normalization, Precision, SelectBy, distilled_part


@dataclass(frozen=True)
class EvaluateMapsConfig(Options):
    """Options of the evaluation of score maps made by anyone.

    Args:
        maps: folder of score maps, .npy or gray PNG, one per image.
        annotations: ground-truth boxes or masks: a CSV or COCO file, or a folder of Pascal VOC, of
            YOLO, of wsolevaluation's metadata, of CUB-200-2011 or of masks as PNG.
        on_bad_annotation: fail ends the command at the first row of boxes that cannot be used; skip
            leaves such rows out, each with a line that says where and why, and their images in.
        out: folder to write; default: beside the maps, with -evaluation added to the name.
        images: folder of the images, where the annotations do not say how large they are; also
            tells which masks belong to which image.
        masks: folder that the paths of masks in wsolevaluation's metadata start from; default:
            the metadata folder.
        ignore_value: value of pixels to ignore in masks, often 255; -1 where none has it; by
            default all but 0 is an object, and a mask that mixes 255 with others is refused.
        ignore_extra: leave out maps that are not in the annotations, instead of refusing them.
        normalize: scale each map to [0, 1] by its minimum and maximum; false takes maps in [0, 1]
            as they are.
        image_size: side of the square that maps are first resized to, bicubic; default: their own
            size.
        threshold: share of the score map's maximum above which a pixel belongs to the object, for
            right boxes; default: none, which leaves the figures that need no threshold.
        worst: how many of the worst maps to list.
        num_workers: threads that read and measure maps; 0 works in the main one.
        max_pixels: larger maps and masks are refused before they are read.
    """

    maps: Path
    annotations: Path
    out: Path | None = None
    images: Path | None = None
    masks: Path | None = None
    ignore_value: Annotated[int, Range(at_least=-1, at_most=65_535)] | None = None
    ignore_extra: bool = False
    normalize: bool = True
    image_size: ImageSize | None = None
    threshold: FractionBelowOne | None = None
    worst: NonNegativeInt = 20
    num_workers: NumWorkers = 2
    on_bad_annotation: OnBad = "fail"
    max_pixels: MaxPixels = 50_000_000

    def __post_init__(self) -> None:
        """Refuse what cannot work before anything is read."""
        super().__post_init__()
        if self.image_size is not None and not self.normalize:
            raise refusal("image_size", self.image_size, "leave it out with --normalize false")


@dataclass(frozen=True)
class EvaluateConfig(Options):
    """Options of evaluation.

    Args:
        run: the run folder, or hf:owner/name on the Hub.
        data: folder of the data set; default: the one that the run was trained on, if it tells.
        boxes: ground-truth boxes: CSV, COCO JSON, or a folder of Pascal VOC or YOLO; default: the
            run's, if the data is, else boxes.csv or boxes.json in the data folder.
        on_bad_annotation: fail ends the command at the first row of boxes that cannot be used; skip
            leaves such rows out, each with a line that says where and why.
        splits: folder of published splits; default: the run's, if the data is.
        labels: labels as CSV or COCO JSON; default: the run's, if the data is, else those of the
            data folder.
        split_folders: folders that are splits, as train=FOLDER,test=FOLDER; none makes every folder
            a class; default: the run's, if the data is, else those named after splits.
        split: train, val or test.
        protocol: fair measures whole images at every threshold, as the re-evaluation of the
            field does; adl2019 measures centre crops at seven fixed ones, as ADL's authors did.
        out: JSON file for the figures; default: metrics.json in the run folder, or
            metrics-adl2019.json.
        report: images to show in the folder report beside that file, spread evenly over the
            split, each with its boxes and true ones; 0 writes no report.
        localizer: makes the score maps; default: the run's. One that is given leaves nothing of
            the run's own reading.
        layers: modules of the network whose features the localizer reads; default: the run's; with
            --localizer, found and logged.
        affinity: a module of the network whose features the score map then follows; default: the
            run's; with --localizer, none.
        flip: average score maps with those of the flipped image; default: the run's; with
            --localizer, false.
        scales: average score maps over images of these sizes, as shares of size; default: the
            run's; with --localizer, the image as it is.
        normalization: how score maps are scaled to [0, 1]: by minimum and maximum (minmax), by the
            maximum alone (max), with a percentile at the top (pas) or at the bottom (ivr), or so
            that Otsu's threshold of each map becomes a half (otsu); default: the run's; with
            --localizer, otsu with threshold auto (minmax for prototypes) and minmax with a number.
        threshold: fraction of the score map's maximum above which a pixel belongs to the object, or
            auto: each map's own, and 0.5 for prototypes; default: the run's where it was chosen on
            boxes, otherwise auto.
        batch_size: images per step.
        num_workers: processes that decode images; 0 decodes in this one.
        precision: auto is that of the run, if it is known and the hardware supports it.
        device: auto (a GPU where there is one), cpu, cuda, cuda:1, mps or xpu.
    """

    run: Path
    data: Path | None = None
    boxes: Path | None = None
    splits: Path | None = None
    labels: Path | None = None
    split: Literal["train", "val", "test"] = "test"
    protocol: Literal["fair", "adl2019"] = "fair"
    out: Path | None = None
    report: NonNegativeInt = 500
    on_bad_annotation: OnBad = "fail"
    localizer: Name | None = None
    layers: tuple[Name, ...] = ()
    affinity: str = ""
    flip: bool = False
    scales: tuple[Scale, ...] = ()
    normalization: Normalization | None = None
    threshold: Threshold | None = None
    batch_size: BatchSize = 32
    num_workers: NumWorkers = 2
    precision: Precision = "auto"
    device: Device = "auto"
    split_folders: tuple[Name, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what cannot work before anything is loaded."""
        super().__post_init__()
        read_split_folders(self.split_folders)


LOCALIZERS = ("cam", "gradcam", "layercam", "feature_norm", "ddt", "prototypes")
"""What is compared by default: one of each kind, and the default of prediction."""


VAL_SHARE = 0.1
"""Of the training images, where neither options nor a run say how many are val."""


@dataclass(frozen=True)
class CompareConfig(Options):
    """Options of the comparison of localizers.

    Args:
        data: folder of the data set, of any layout that wsol train takes.
        out: folder to write.
        boxes: ground-truth boxes: CSV, COCO JSON, or a folder of Pascal VOC or YOLO; default: the
            run's, if the data is, else boxes.csv or boxes.json in the data folder.
        on_bad_annotation: fail ends the command at the first row of boxes that cannot be used; skip
            leaves such rows out, each with a line that says where and why.
        run: a run on this data, a folder or hf:owner/name on the Hub; default: a pretrained
            network, whose score maps are of the class that it prefers.
        backbone: the pretrained network where no run is given.
        localizers: names, several with * between them are joined.
        image_sizes: sides of the network's input in pixels.
        normalizations: how score maps are scaled to [0, 1].
        layers: modules of the network whose features the localizers read; default: found and
            logged.
        affinities: modules of the network whose features score maps then follow, each in turn; none
            follows nothing, auto finds one.
        flip: average score maps with those of the flipped image.
        splits: folder of published splits; default: the run's, if the data is.
        labels: labels as CSV or COCO JSON; default: the run's, if the data is, else those of the
            data folder.
        split_folders: folders that are splits, as train=FOLDER,test=FOLDER; none makes every folder
            a class; default: the run's, if the data is, else those named after splits.
        val_fraction: share of the training images to choose on, where the data set has no val
            split; default: the run's, or 0.1.
        seed: of that choice; default: the run's, or 0.
        save: make the winner the run's own way to read score maps.
        num_overlays: of the test split in compare.jpg; 0 for none.
        batch_size: images per step.
        num_workers: processes that decode images; 0 decodes in this one.
        precision: auto is that of the run, or without one bfloat16 where the hardware supports it.
        device: auto (a GPU where there is one), cpu, cuda, cuda:1, mps or xpu.
        select_by: boxes that candidates are ranked by: ground_truth of val, or pseudo_boxes, which
            need none; figures by ground truth stand beside them where val has some. auto is
            ground_truth where val has some, otherwise pseudo_boxes.
    """

    data: Path
    out: Path
    boxes: Path | None = None
    on_bad_annotation: OnBad = "fail"
    run: Path | None = None
    backbone: Name = BUNDLED_BACKBONE
    localizers: Annotated[tuple[Name, ...], NotEmpty()] = LOCALIZERS
    image_sizes: Annotated[tuple[ImageSize, ...], NotEmpty()] = (224, 448)
    normalizations: Annotated[tuple[Normalization, ...], NotEmpty()] = ("minmax", "ivr")
    layers: tuple[Name, ...] = ()
    affinities: Annotated[tuple[Name, ...], NotEmpty()] = ("none", "auto")
    flip: bool = False
    splits: Path | None = None
    labels: Path | None = None
    val_fraction: FractionBelowOne | None = None
    seed: Seed | None = None
    save: bool = False
    num_overlays: NonNegativeInt = 6
    batch_size: BatchSize = 16
    num_workers: NumWorkers = 2
    precision: Precision = "auto"
    device: Device = "auto"
    split_folders: tuple[Name, ...] = ()
    select_by: SelectBy = "auto"

    def __post_init__(self) -> None:
        """Refuse what cannot work before anything is loaded."""
        super().__post_init__()
        read_split_folders(self.split_folders)
        if self.run is not None and self.backbone != BUNDLED_BACKBONE:
            raise no_effect("backbone", self.backbone, "with a run")
        for student in filter(None, map(distilled_part, self.localizers)):
            raise refusal(
                "localizers", self.localizers, f"remove {student}, which wsol distill alone makes"
            )
        if self.save and self.run is not None and is_on_hub(self.run):
            raise refusal("save", True, f"download {self.run} and pass its folder as --run")
        if self.save and self.run is None:
            raise refusal("save", True, "add --run, the run to save the winner in")
