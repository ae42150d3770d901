"""Benchmark options."""

from dataclasses import dataclass
from pathlib import Path

from wsol.inference.config import DeviceOptions
from wsol.options import (
    BatchSize,
    ImageSize,
    Name,
    NumWorkers,
    PositiveFloat,
    PositiveInt,
    no_effect,
)
from wsol.types import BUNDLED_BACKBONE


@dataclass(frozen=True)
class BenchmarkConfig(DeviceOptions):
    """Benchmark options.

    Args:
        data: image folder; default: generated images of 500 x 375 pixels, which take as long to
            decode as photographs.
        run: run folder of the network to measure; default: the backbone.
        backbone: backbone name as shown by wsol list backbones; its weights are not downloaded, as
            they do not affect speed.
        output_stride: input pixels per score map pixel in training without a run.
        localizer: localizer of prediction; default: that of wsol predict.
        image_size: side of the network's input in pixels; default: the run's, or 224 for training
            and 448 for prediction.
        batch_size: images per step.
        num_workers: processes that read images when the whole pipeline is measured; default: as
            many as the measured stages need.
        max_images: maximum number of images of the folder to use, sampled evenly.
        seconds: minimum duration of the repetitions of each stage, at least two repetitions; the
            median is reported.
        out: JSON file to write the results to; default: none.
        precision: floating-point precision; auto selects bfloat16 if the hardware supports it.
    """

    data: Path | None = None
    run: Path | None = None
    backbone: Name = BUNDLED_BACKBONE
    output_stride: PositiveInt | None = 16
    localizer: Name | None = None
    image_size: ImageSize | None = None
    batch_size: BatchSize = 16
    num_workers: NumWorkers | None = None
    max_images: PositiveInt = 64
    seconds: PositiveFloat = 3.0
    out: Path | None = None

    def __post_init__(self) -> None:
        """Reject invalid options before anything is measured."""
        super().__post_init__()
        if self.run is not None and self.backbone != BUNDLED_BACKBONE:
            raise no_effect("backbone", self.backbone, "with a run")
