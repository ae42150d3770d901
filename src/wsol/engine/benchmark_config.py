"""The options of the benchmark."""

from dataclasses import dataclass
from pathlib import Path

from wsol.engine.config import Precision
from wsol.errors import ConfigError
from wsol.models.names import BUNDLED_BACKBONE


@dataclass(frozen=True)
class BenchmarkConfig:
    """Options of the benchmark.

    Args:
        data: folder of pictures; default: generated ones of 500 x 375 pixels.
        run: a run folder whose network to measure; default: the backbone.
        backbone: a name that wsol list backbones shows; its weights do not matter, so none are
            downloaded.
        output_stride: input pixels per pixel of the score map in training, where no run is given.
        localizer: makes the score maps of prediction; default: that of wsol predict.
        size: side of the network's input in pixels; default: the run's, or 224 for training and
            448 for prediction.
        batch_size: images per step.
        workers: processes that read images while the whole is measured; default: as many as the
            measured stages ask for.
        pictures: of the folder to use, spread evenly over it.
        seconds: for which each stage is repeated, at least twice.
        out: JSON file to write the figures to as well.
        precision: auto takes bfloat16 where the processor has it.
        cpu: stay on the CPU even where there is a GPU.
    """

    data: Path | None = None
    run: Path | None = None
    backbone: str = BUNDLED_BACKBONE
    output_stride: int | None = 16
    localizer: str | None = None
    size: int | None = None
    batch_size: int = 16
    workers: int | None = None
    pictures: int = 64
    seconds: float = 3.0
    out: Path | None = None
    precision: Precision = "auto"
    cpu: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot work before anything is measured."""
        for option in ("size", "batch_size", "pictures"):
            value = getattr(self, option)
            if value is not None and value < 1:
                raise ConfigError(f"{option} is {value}: it must be at least 1")
        if self.workers is not None and self.workers < 0:
            raise ConfigError(f"workers is {self.workers}: it must be at least 0")
        if self.seconds <= 0:
            raise ConfigError(f"seconds is {self.seconds}: it must be above 0")
