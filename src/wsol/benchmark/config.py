"""The options of the benchmark."""

from dataclasses import dataclass
from pathlib import Path

from wsol.options import (
    BatchSize,
    Device,
    ImageSize,
    Name,
    NumWorkers,
    Options,
    PositiveFloat,
    PositiveInt,
    no_effect,
)
from wsol.types import BUNDLED_BACKBONE, Precision


@dataclass(frozen=True)
class BenchmarkConfig(Options):
    """Options of the benchmark.

    Args:
        data: folder of images; default: generated ones of 500 x 375 pixels.
        run: a run folder whose network to measure; default: the backbone.
        backbone: a name that wsol list backbones shows; its weights do not matter, so none are
            downloaded.
        output_stride: input pixels per pixel of the score map in training, where no run is given.
        localizer: makes the score maps of prediction; default: that of wsol predict.
        image_size: side of the network's input in pixels; default: the run's, or 224 for training
            and 448 for prediction.
        batch_size: images per step.
        num_workers: processes that read images while the whole is measured; default: as many as the
            measured stages ask for.
        max_images: of the folder to use, spread evenly over it.
        seconds: for which each stage is repeated, at least twice.
        out: JSON file to write the figures to as well.
        precision: auto takes bfloat16 where the processor has it.
        device: auto (a GPU where there is one), cpu, cuda, cuda:1, mps or xpu.
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
    precision: Precision = "auto"
    device: Device = "auto"

    def __post_init__(self) -> None:
        """Refuse what cannot work before anything is measured."""
        super().__post_init__()
        if self.run is not None and self.backbone != BUNDLED_BACKBONE:
            raise no_effect("backbone", self.backbone, "with a run")
