"""Evaluation options: for runs, for score map files and for comparisons of localizers."""

from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from wsol.data.annotations.types import OnBad
from wsol.inference.config import BoxOptions, ComputeOptions
from wsol.options import (
    NOT_EMPTY,
    BatchSize,
    FractionBelowOne,
    ImageSize,
    MaxPixels,
    Name,
    NonNegativeInt,
    NumWorkers,
    Options,
    Range,
    Seed,
    no_effect,
    refusal,
)
from wsol.runs.config import RunDataOptions
from wsol.runs.hub import is_on_hub
from wsol.types import BUNDLED_BACKBONE, Normalization, SelectBy, distilled_part


@dataclass(frozen=True)
class EvaluateMapsConfig(Options):
    """Options for the evaluation of score map files.

    Args:
        maps: folder of score maps, .npy or grayscale PNG, one per image.
        annotations: ground-truth boxes or masks: a CSV or COCO file, or a folder of Pascal VOC,
            YOLO, wsolevaluation metadata, CUB-200-2011 or PNG masks.
        on_bad_annotation: handling of unusable box annotations: fail stops at the first one, skip
            drops each, logs its position and the reason, and keeps its image.
        out: folder to write, outside the folder of maps; default: next to it, with -evaluation
            appended to the name.
        images: image folder, for annotations without image sizes; also used to match masks to
            images.
        masks: folder that mask paths in wsolevaluation metadata are relative to; default: the
            metadata folder.
        ignore_value: mask value of ignored pixels, often 255; -1 if no pixels are ignored; default:
            all values but 0 are object, and masks that mix 255 with other values are rejected.
        ignore_extra: ignore maps without annotations instead of rejecting them.
        normalize: scale each map to [0, 1] by its minimum and maximum; false uses maps in [0, 1]
            unchanged.
        image_size: side of the square that maps are first resized to, bicubic; default: no
            resizing.
        threshold: fraction of a map's maximum above which a pixel belongs to the object, used for
            metrics of boxes at one threshold; default: none, only threshold-free metrics.
        worst: number of worst maps to list.
        num_workers: threads that read and evaluate maps; 0 uses the main thread.
        max_pixels: maximum pixels of a map or mask; larger files are rejected before reading.
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
        """Reject invalid options before anything is read."""
        super().__post_init__()
        if self.image_size is not None and not self.normalize:
            raise refusal("image_size", self.image_size, "leave it out with --normalize false")


@dataclass(frozen=True)
class EvaluateConfig(RunDataOptions, BoxOptions, ComputeOptions):
    """Evaluation options.

    Args:
        split: split to evaluate: train, val or test.
        protocol: evaluation protocol: wsoleval scores whole images at every threshold (Choe et al.,
            CVPR 2020); adl2019 scores center crops at seven fixed thresholds, as the ADL authors.
        out: JSON file for the metrics; default: metrics.json in the run folder, or
            metrics-adl2019.json; required for a run on the Hub.
        report: number of images in the HTML report next to the metrics file, sampled evenly from
            the split, with predicted and ground-truth boxes; 0 writes no report.
        batch_size: images per step and process.
    """

    run: Path = field()
    _: KW_ONLY
    split: Literal["train", "val", "test"] = "test"
    protocol: Literal["wsoleval", "adl2019"] = "wsoleval"
    out: Path | None = None
    report: NonNegativeInt = 500
    batch_size: BatchSize = 32


LOCALIZERS = ("cam", "gradcam", "layercam", "feature_norm", "ddt", "prototypes")
"""Localizers compared by default: one of each kind, and the default of prediction."""


VAL_SHARE = 0.1
"""Fraction of the training images used as val, if neither the options nor a run set it."""


@dataclass(frozen=True)
class CompareConfig(RunDataOptions, ComputeOptions):
    """Options for the comparison of localizers.

    Args:
        data: data set folder, in any layout that wsol train accepts.
        out: folder to write.
        run: run trained on this data: a run folder, or hf:owner/name on the Hub; default: a
            pretrained network, with score maps of its predicted class.
        backbone: pretrained network used without a run.
        localizers: localizers to compare; names combined with * form one localizer.
        image_sizes: sides of the network's input in pixels.
        normalizations: scalings of score maps to [0, 1].
        layers: network modules whose features the localizers read; default: chosen automatically
            and logged.
        affinities: network modules whose features refine the score maps, one candidate each; none
            disables refinement, auto selects a module.
        flip: average score maps with those of the flipped image.
        val_fraction: fraction of the training images to select on, if the data set has no val
            split; default: the run's, or 0.1.
        seed: random seed of that split; default: the run's, or 0.
        save: save the best candidate as the run's localizer options.
        num_overlays: number of test images in compare.jpg; 0 writes none.
        select_by: boxes that rank the candidates: ground_truth of val, or pseudo_boxes, which need
            no annotations (ground-truth metrics are also listed if val has boxes); auto selects
            ground_truth if val has boxes, otherwise pseudo_boxes.
    """

    data: Path = field()
    out: Path
    _: KW_ONLY
    backbone: Name = BUNDLED_BACKBONE
    localizers: Annotated[tuple[Name, ...], NOT_EMPTY] = LOCALIZERS
    image_sizes: Annotated[tuple[ImageSize, ...], NOT_EMPTY] = (224, 448)
    normalizations: Annotated[tuple[Normalization, ...], NOT_EMPTY] = ("minmax", "ivr")
    layers: tuple[Name, ...] = ()
    affinities: Annotated[tuple[Name, ...], NOT_EMPTY] = ("none", "auto")
    flip: bool = False
    val_fraction: FractionBelowOne | None = None
    seed: Seed | None = None
    save: bool = False
    num_overlays: NonNegativeInt = 6
    select_by: SelectBy = "auto"

    def __post_init__(self) -> None:
        """Reject invalid options before anything is loaded."""
        super().__post_init__()
        if self.run is not None and self.backbone != BUNDLED_BACKBONE:
            raise no_effect("backbone", self.backbone, "with a run")
        for student in filter(None, map(distilled_part, self.localizers)):
            raise refusal(
                "localizers", self.localizers, f"remove {student}; use wsol distill to train it"
            )
        if self.save and self.run is not None and is_on_hub(self.run):
            raise refusal("save", True, f"download {self.run} and pass its folder as --run")
        if self.save and self.run is None:
            raise refusal("save", True, "set --run to the run to save the result in")
