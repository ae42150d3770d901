"""Evaluation: every picture of a split once, by any number of processes."""

import logging
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from torch import Tensor

from wsol.data.batches import ImageFiles, load_batches, normalized, split_batches
from wsol.data.open import open_data
from wsol.data.samples import Samples
from wsol.data.transforms import EvalTransform
from wsol.engine.config import EvaluateConfig
from wsol.engine.device import make_accelerator
from wsol.engine.progress import Meter
from wsol.engine.run import RunInfo, load_run
from wsol.errors import ConfigError, DataError, did_you_mean
from wsol.files import write_json
from wsol.localizers import ScoreMaps, create_localizer
from wsol.maps import IouCurves, iou_curves, normalize, scale_boxes
from wsol.metrics import LocalizationAccuracy
from wsol.models import Network

log = logging.getLogger("wsol")

Figures = dict[str, float | int | None]


class Evaluation(NamedTuple):
    """Figures of a run on one split, in percent where they are accuracies.

    Attributes:
        metrics: with the run's own threshold.
        at_best_threshold: with the threshold that is best on this very split: full supervision
            in disguise, for comparison only.
        threshold_from: ``val`` where the run's threshold was chosen on boxes, else ``default``.
        on_main_process: False in all processes but the first, which is the one to print.
    """

    metrics: Figures
    at_best_threshold: Figures
    threshold_from: str
    on_main_process: bool


def evaluate(config: EvaluateConfig) -> Evaluation:
    """Evaluate a run on a split of a data set, and write its figures as JSON.

    Args:
        config: the options.

    Raises:
        RunError: not a finished run.
        DataError: the data set lacks the split, or has a class that the run does not know.
    """
    accelerator = make_accelerator(config.precision, config.cpu)
    network, info = load_run(config.run)
    samples = _open_split(config, info)
    network.to(accelerator.device)
    metric = evaluate_split(
        samples,
        network,
        create_localizer(config.localizer or info.localizer, network),
        accelerator,
        size=info.size,
        batch_size=config.batch_size,
        workers=config.workers,
    )
    best = metric.best_threshold()
    result = Evaluation(
        metric.at(info.threshold),
        metric.at(info.threshold if best is None else best),
        info.threshold_from,
        accelerator.is_main_process,
    )
    if accelerator.is_main_process:
        write_json(config.out or config.run / "metrics.json", result.metrics)
    return result


def evaluate_split(
    samples: Samples,
    network: Network,
    localizer: ScoreMaps,
    accelerator: Accelerator,
    *,
    size: int,
    batch_size: int,
    workers: int,
) -> LocalizationAccuracy:
    """Return the counts of one split, summed over all processes.

    The batches are the same for any number of processes, which share them out. A picture that
    cannot be read counts as wrong and is logged.

    Args:
        samples: the split.
        network: classifier on the accelerator's device.
        localizer: makes score maps of the true labels.
        accelerator: device, precision and processes.
        size: side of the input in pixels.
        batch_size: images per step.
        workers: processes that decode images.
    """
    metric = LocalizationAccuracy()
    nothing = np.zeros(len(metric.thresholds))
    missed = IouCurves(nothing, nothing)
    paths = [samples.path(index) for index in range(len(samples))]
    batches = split_batches(range(len(samples)), batch_size)
    mine = batches[accelerator.process_index :: accelerator.num_processes]
    with Meter("evaluate", sum(map(len, mine)), accelerator.is_main_process) as meter:
        for batch in load_batches(ImageFiles(paths, EvalTransform(size)), mine, workers):
            for index, error in batch.errors:
                log.warning("counted as wrong: %s", error)
                boxed = samples.boxes is not None and len(samples.boxes[index]) > 0
                metric.update(None, missed if boxed else None)
            if batch.indices:
                images = batch.images.to(accelerator.device)
                labels = torch.from_numpy(samples.labels[batch.indices]).to(accelerator.device)
                with accelerator.autocast():
                    inputs = normalized(images, network.mean, network.std)
                    logits, _, maps = localizer.locate(inputs, labels)
                ranks = _ranks(logits, labels)
                score_maps = maps.cpu().numpy()
                for index, image_size, rank, score_map in zip(
                    batch.indices, batch.sizes, ranks, score_maps, strict=True
                ):
                    curves = _curves(score_map, samples, index, image_size, metric.thresholds)
                    metric.update(rank, curves)
            meter.advance(len(batch.indices) + len(batch.errors))
    metric.to(accelerator.device)
    metric.sync()
    return metric


def _ranks(logits: Tensor, labels: Tensor) -> list[int | None]:
    """Return how many classes rank before the true one; None where the scores are not finite.

    Of equal scores the lower index ranks first, as argmax has it.
    """
    true = logits.gather(1, labels[:, None])
    lower = torch.arange(logits.shape[1], device=logits.device) < labels[:, None]
    ranks = ((logits > true) | ((logits == true) & lower)).sum(1).tolist()
    finite = logits.isfinite().all(1).tolist()
    return [rank if sound else None for rank, sound in zip(ranks, finite, strict=True)]


def _curves(
    score_map: NDArray[np.float32],
    samples: Samples,
    index: int,
    image_size: tuple[int, int],
    thresholds: NDArray[np.float64],
) -> IouCurves | None:
    if samples.boxes is None or len(samples.boxes[index]) == 0:
        return None
    scaled, has_object = normalize(score_map)
    if not has_object:
        log.warning("%s: the score map is constant or not finite", samples.ids[index])
    height, width = score_map.shape
    truth = scale_boxes(samples.boxes[index], image_size, (width, height)).astype(np.int64)
    return iou_curves(scaled, truth, thresholds)


def _open_split(config: EvaluateConfig, info: RunInfo) -> Samples:
    root = Path(info.data) if config.data is None else config.data
    own = None if info.boxes is None or config.data is not None else Path(info.boxes)
    splits = open_data(root, boxes=config.boxes or own, val_share=info.val_share, seed=info.seed)
    if config.split not in splits:
        raise ConfigError(
            f"{root}: no split {config.split!r}: {did_you_mean(config.split, splits)}"
        )
    samples = splits[config.split]
    unknown = [name for name in samples.classes if name not in info.classes]
    if unknown:
        raise DataError(f"{root}: the run {config.run} was not trained on class {unknown[0]!r}")
    number = np.array([info.classes.index(name) for name in samples.classes])
    labels = number[samples.labels]
    return Samples(samples.root, samples.ids, labels, info.classes, samples.boxes)
