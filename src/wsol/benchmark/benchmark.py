"""Throughput of training and prediction on this machine, per stage, and the bottleneck."""

import logging
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from wsol._utils.files import make_folder, write_json
from wsol.benchmark.config import BenchmarkConfig
from wsol.benchmark.stages import (
    ADVICE,
    READING,
    Machine,
    PredictStages,
    Stage,
    TrainStages,
    expected_seconds,
    find_bound,
    required_workers,
)
from wsol.data.images import decode_image, find_images
from wsol.data.synthetic.scenes import write_photographs
from wsol.errors import ConfigError, DataError, ImageError
from wsol.inference.device import announce
from wsol.inference.exported import is_exported
from wsol.inference.loading import SIZE
from wsol.inference.localizer import Localizer
from wsol.localizers._layers import probe
from wsol.maps.curves import num_processors
from wsol.methods.network import build_network
from wsol.methods.none import Config as NoMethod
from wsol.models import Network
from wsol.models.batch_norm import fuse_batch_norms
from wsol.models.create import NUM_CLASSES
from wsol.runs.run import load_run
from wsol.training.config import TrainConfig
from wsol.types import BUNDLED_BACKBONE

log = logging.getLogger("wsol")

MOST_STEPS = 50


@dataclass(frozen=True)
class Job:
    """Throughput of training or prediction.

    Attributes:
        name: ``training`` or ``prediction``.
        size: side of the network's input in pixels.
        precision: precision of the network.
        stages: separately measured stages.
        num_workers: number of processes that read images.
        expected: images per second of the whole pipeline, computed from the stages.
        measured: images per second of the whole pipeline.
        bound: bottleneck.
        advice: how to remove the bottleneck.
    """

    name: str
    size: int
    precision: str
    stages: tuple[Stage, ...]
    num_workers: int
    expected: float
    measured: float
    bound: str
    advice: str


def benchmark(config: BenchmarkConfig) -> list[Job]:
    """Measure training and prediction on this machine.

    Args:
        config: benchmark options.

    Returns:
        Training, then prediction.

    Raises:
        DataError: no image of the folder is readable.
        ConfigError: an option is invalid.
        RunError: not a run.
    """
    if config.out is not None:
        make_folder(config.out.parent)
    if config.run is not None and is_exported(config.run):
        raise ConfigError(f"{config.run}: exported models cannot be trained; set --run to a folder")
    with _images(config) as paths:
        jobs = [_training(config, paths), _prediction(config, paths)]
    if config.out is not None:
        write_json(config.out, report(jobs))
    return jobs


def report(jobs: Sequence[Job]) -> dict[str, Any]:
    """Return results and machine information for JSON."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    return {
        "cores": num_processors(),
        "threads": torch.get_num_threads(),
        "device": device,
        "torch": torch.__version__,
        "jobs": [asdict(job) for job in jobs],
    }


def _training(config: BenchmarkConfig, paths: Sequence[Path]) -> Job:
    if config.run is not None:
        network, info = load_run(config.run)
        size = config.image_size or info.image_size
    else:
        size = config.image_size or TrainConfig.image_size
        network = _untrained(config.backbone, size, config.output_stride)
    log.info("measuring the stages of training at %d pixels", size)
    stages = TrainStages(network, paths, size, config.batch_size, config.precision, config.device)
    return _job(config, "training", size, stages)


def _prediction(config: BenchmarkConfig, paths: Sequence[Path]) -> Job:
    locate = _localizer(config)
    log.info("measuring the stages of prediction at %d pixels", locate.image_size)
    return _job(config, "prediction", locate.image_size, PredictStages(locate, paths))


def _job(
    config: BenchmarkConfig, name: str, size: int, subject: TrainStages | PredictStages
) -> Job:
    compute = subject.compute
    announce(compute, config.device)
    machine = Machine(num_processors(), shared=compute.device.type == "cpu")
    stages = tuple(subject.measure(config.seconds))
    required = required_workers(stages, machine)
    num_workers = required if config.num_workers is None else config.num_workers
    expected = expected_seconds(stages, num_workers, machine)
    steps = min(math.ceil(3 * config.seconds / (expected * config.batch_size)), MOST_STEPS)
    log.info("measuring %s with %d workers", name, num_workers)
    measured = subject.whole(num_workers, steps)
    if isinstance(subject, PredictStages):
        measured += stages[-1].seconds
    bound = find_bound(stages, num_workers, machine)
    advice = ADVICE[bound]
    if bound == READING and num_workers < required:
        advice = f"use --num_workers {required}"
    speeds = 1 / expected, 1 / measured
    return Job(name, size, compute.precision, stages, num_workers, *speeds, bound, advice)


def _localizer(config: BenchmarkConfig) -> Localizer:
    model: Path | Network | None = config.run
    size = config.image_size
    if model is None and config.backbone != BUNDLED_BACKBONE:
        size = size or SIZE
        model = _untrained(config.backbone, size, output_stride=None).eval()
        # As prediction does with networks that it has loaded.
        fuse_batch_norms(model, probe(model, size))
    return Localizer(
        model,
        localizer=config.localizer,
        image_size=size,
        batch_size=config.batch_size,
        precision=config.precision,
        device=config.device,
    )


def _untrained(backbone: str, size: int, output_stride: int | None) -> Network:
    return build_network(
        backbone,
        num_classes=NUM_CLASSES,
        method=NoMethod(),
        output_stride=output_stride,
        pretrained=False,
        size=size,
    )


@contextmanager
def _images(config: BenchmarkConfig) -> Iterator[list[Path]]:
    """Yield readable images, of the folder or generated ones."""
    if config.data is None:
        with TemporaryDirectory() as folder:
            log.info("generating %d images", config.max_images)
            yield write_photographs(Path(folder), config.max_images)
        return
    names = find_images(config.data)
    count = min(len(names), config.max_images)
    paths = [config.data / names[index * len(names) // count] for index in range(count)]
    readable = [path for path in paths if _can_be_read(path)]
    if not readable:
        raise DataError(f"{config.data}: contains no readable image")
    yield readable


def _can_be_read(path: Path) -> bool:
    try:
        decode_image(path)
    except ImageError as error:
        log.warning("%s", error)
        return False
    return True
