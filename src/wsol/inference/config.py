"""Options of localizers and of the computation, shared by commands; export options."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from wsol.options import (
    UNSPLIT,
    BatchSize,
    Device,
    Fraction,
    ImageSize,
    MaxPixels,
    Name,
    NumWorkers,
    Options,
    Range,
    Scale,
    Threshold,
    refusal,
)
from wsol.types import (
    BUNDLED_BACKBONE,
    EXPORT_SUFFIXES,
    ExportFormat,
    Instances,
    Normalization,
    Precision,
    unique_names,
)


@dataclass(frozen=True, kw_only=True)
class DeviceOptions(Options):
    """Device and precision.

    Args:
        precision: floating-point precision; auto uses that of the run, or without a recorded one
            bfloat16, if the hardware supports it.
        device: compute device: auto (a GPU if available), cpu, cuda, cuda:1, mps or xpu.
    """

    precision: Precision = "auto"
    device: Device = "auto"


@dataclass(frozen=True, kw_only=True)
class ComputeOptions(DeviceOptions):
    """Device, precision and batches.

    Args:
        batch_size: images per step.
        num_workers: processes that decode images; 0 decodes in the main process.
    """

    batch_size: BatchSize = 16
    num_workers: NumWorkers = 2


@dataclass(frozen=True, kw_only=True)
class ScoreMapOptions(Options):
    """Options of the localizer, which override those of a run.

    Args:
        localizer: localizer of the score maps; default: the run's. If given, the run's other
            localizer options are ignored.
        layers: network modules whose features the localizer reads; default: the run's; with
            --localizer, chosen automatically and logged.
        affinity: network module whose features refine the score maps; default: the run's; with
            --localizer, none.
        flip: average score maps with those of the flipped image; default: the run's; with
            --localizer, false.
        scales: image sizes to average score maps over, relative to image_size; default: the run's;
            with --localizer, one size.
        normalization: scaling of score maps to [0, 1]: minmax (minimum and maximum), max (maximum
            only), pas (percentile at the top), ivr (percentile at the bottom) or otsu (the Otsu
            threshold of each map becomes 0.5); default: the run's; with --localizer, otsu with
            threshold auto (minmax for prototypes) and minmax with a number.
    """

    localizer: Name | None = None
    layers: tuple[Name, ...] = ()
    affinity: str = ""
    flip: bool = False
    scales: tuple[Scale, ...] = ()
    normalization: Normalization | None = None


@dataclass(frozen=True, kw_only=True)
class BoxOptions(ScoreMapOptions):
    """Options of the localizer and its threshold, which override those of a run.

    Args:
        threshold: fraction of a map's maximum above which a pixel belongs to the object, or auto: a
            separate threshold per map (0.5 for prototypes); default: the run's, if it was chosen on
            boxes, otherwise auto.
    """

    threshold: Threshold | None = None


@dataclass(frozen=True, kw_only=True)
class PredictorOptions(BoxOptions, DeviceOptions):
    """Options of localization with a run or a pretrained network.

    Args:
        backbone: pretrained network that is used without a run, by its timm name. Its classes are
            those of ImageNet; a network without a classifier has a single class, object.
        localizer: localizer of the score maps; default: the run's, or prototypes without a run. If
            given, the run's other localizer options are ignored.
        layers: network modules whose features the localizer reads; default: the run's; with
            --localizer, or without a run, chosen automatically and logged.
        affinity: network module whose features refine the score maps; default: the run's, or auto
            without a run; with --localizer, none.
        flip: average score maps with those of the flipped image; default: the run's; with
            --localizer, or without a run, false.
        scales: image sizes to average score maps over, relative to image_size; default: the run's;
            with --localizer, or without a run, one size.
        normalization: scaling of score maps to [0, 1]: minmax (minimum and maximum), max (maximum
            only), pas (percentile at the top), ivr (percentile at the bottom) or otsu (the Otsu
            threshold of each map becomes 0.5); default: the run's; with --localizer, or without a
            run, otsu with threshold auto (minmax for prototypes) and minmax with a number.
        instances: boxes of each class: a single one, or multiple, one per object; default: multiple
            for a run that was trained on multi-label images, otherwise single.
        image_size: side of the network's input in pixels; default: the run's, or 448.
        max_pixels: pixel limit of an image; larger images are refused before they are decoded.
    """

    backbone: Name = BUNDLED_BACKBONE
    instances: Instances | None = None
    image_size: ImageSize | None = None
    max_pixels: MaxPixels = 50_000_000


Std = Annotated[float, Range(above=0, at_most=1)]


@dataclass(frozen=True, kw_only=True)
class LocalizerOptions(PredictorOptions, ComputeOptions):
    """Keyword arguments of ``wsol.Localizer``, which documents them."""

    num_workers: NumWorkers = 0
    labels: Annotated[tuple[Name, ...], UNSPLIT] = ()
    scaled_decoding: bool = True
    classes: tuple[str, ...] | None = None
    mean: tuple[Fraction, Fraction, Fraction] | None = None
    std: tuple[Std, Std, Std] | None = None

    def __post_init__(self) -> None:
        """Reject options that are invalid for every classifier."""
        super().__post_init__()
        if self.classes is not None and unique_names(self.classes) != self.classes:
            raise refusal("classes", self.classes, "use distinct names")


@dataclass(frozen=True)
class ExportConfig(BoxOptions):
    """Export options.

    Args:
        run: run folder, or hf:owner/name on the Hub.
        out: file to write, .onnx or .pt2.
        format: file format: onnx, for onnxruntime and other runtimes; or torch, for
            torch.export.load.
        normalization: scaling to [0, 1] that the exported model's raw score maps need; default: the
            run's; with --localizer, otsu with threshold auto (minmax for prototypes) and minmax
            with a number.
        image_size: side of the network's input in pixels; default: the run's.
    """

    run: Path
    out: Path
    format: ExportFormat = "onnx"
    image_size: ImageSize | None = None

    def __post_init__(self) -> None:
        """Reject invalid options before anything is loaded."""
        super().__post_init__()
        ending = EXPORT_SUFFIXES[self.format]
        if self.out.suffix != ending:
            raise refusal(
                "out", str(self.out), f"use a name that ends in {ending} for format {self.format}"
            )
        if self.run.is_file():
            raise refusal("run", str(self.run), "use the run folder instead of a file")
