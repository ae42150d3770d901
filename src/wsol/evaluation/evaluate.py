"""Evaluation of a run on a split, with any number of processes."""

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wsol._utils.concurrency import in_order
from wsol._utils.files import make_folder, write_json
from wsol._utils.progress import Meter
from wsol.data.loader import ImageFiles, Key, load_batches, normalized, split_batches
from wsol.data.samples import Samples
from wsol.data.transforms import Transform
from wsol.errors import ConfigError
from wsol.evaluation.config import EvaluateConfig
from wsol.evaluation.protocols import PROTOCOLS, EvaluationProtocol, Report, RunMetrics, WSOLEval
from wsol.inference.config import LocalizerOptions
from wsol.inference.device import Compute, announce, choose_compute
from wsol.inference.fitting import Preprocessing, fit_localizer
from wsol.inference.loading import prepare_to_localize
from wsol.inference.localizer import Localizer
from wsol.localizers import ScoreMaps
from wsol.localizers.config import LocalizerConfig, resolve_threshold
from wsol.maps import IouCurves
from wsol.maps.curves import num_processors
from wsol.maps.normalize import is_flat
from wsol.metrics import LocalizationAccuracy
from wsol.metrics.average_precision import AveragePrecision, Boxes, box_average_precision
from wsol.models import Network
from wsol.reports.page_data import ground_truth_of
from wsol.reports.report import Written, check_folder, write_report
from wsol.runs.dataset import open_run_data
from wsol.runs.hub import is_on_hub
from wsol.runs.run import load_fitted, load_run
from wsol.types import Precision


def report_split(
    locate: Localizer,
    samples: Samples,
    folder: Path,
    *,
    max_images: int,
    metrics: Mapping[str, float | int | None],
) -> Written:
    """Write the report of a run on a split of a data set.

    Args:
        locate: localizer of the run.
        samples: images of the split.
        folder: folder to write.
        max_images: maximum number of images to show, sampled evenly from the split.
        metrics: metrics of the whole split, by name.

    Raises:
        ConfigError: the folder has other content, or cannot be written.
    """
    count = min(max_images, len(samples))
    chosen = samples.select(np.arange(count) * len(samples) // count)
    results = locate(chosen.paths(), chosen.ids)
    return write_report(
        results,
        locate.info(samples.root),
        folder,
        ground_truth=ground_truth_of(chosen),
        metrics=metrics,
        number=count,
        max_images=count,
    )


def average_precision(locate: Localizer, samples: Samples) -> AveragePrecision:
    """Return the average precision of predicted boxes on a split, the mean over its classes.

    Unreadable images have no boxes.

    Args:
        locate: localizer with the class indices of the split.
        samples: split with boxes.
    """
    return box_average_precision(_predicted(locate, samples), _true(samples))


def _predicted(locate: Localizer, samples: Samples) -> Iterator[Boxes]:
    for found in locate(samples.paths(), samples.ids):
        yield Boxes(found.boxes, found.box_labels, found.box_scores)


def _true(samples: Samples) -> list[Boxes]:
    return [
        Boxes(boxes, _labels(samples, index), np.ones(len(boxes)))
        for index, boxes in enumerate(samples.boxes or ())
    ]


def _labels(samples: Samples, index: int) -> NDArray[np.int64]:
    if samples.box_labels is not None:
        return samples.box_labels[index]
    count = 0 if samples.boxes is None else len(samples.boxes[index])
    return np.full(count, samples.labels[index])


log = logging.getLogger("wsol")


class Evaluation(NamedTuple):
    """Metrics of a run on one split; accuracies are in percent.

    Attributes:
        metrics: metrics at the run's threshold, or at all thresholds of the protocol.
        at_best_threshold: metrics at the threshold that is best on the same split: this uses its
            ground truth, and is for comparison only.
        threshold_from: ``val`` if the run's threshold was chosen on boxes, ``auto`` for a threshold
            per map, ``default`` for the default of a normalization, ``option`` for a given one;
            ``protocol`` if the protocol defines thresholds.
        columns: columns to print, heading to metrics.
        on_main_process: False in all processes but the first, which prints.
        page: HTML file of the report; None without a report.
        num_errors: number of unreadable images; they count as incorrect.
        precision: precision of the network.
    """

    metrics: RunMetrics
    at_best_threshold: RunMetrics
    threshold_from: str
    columns: dict[str, RunMetrics]
    on_main_process: bool
    page: Path | None
    num_errors: int
    precision: Precision


def evaluate(config: EvaluateConfig) -> Evaluation:
    """Evaluate a run on a split of a data set, and write its metrics as JSON.

    Args:
        config: evaluation options.

    Raises:
        RunError: not a finished run.
        DataError: the data set does not have the split, or has a class unknown to the run.
        ConfigError: the protocol does not support the localizer, or the run is on the Hub and no
            output file is set.
    """
    if config.out is None and is_on_hub(config.run):
        raise ConfigError(f"{config.run}: metrics need an output file; use --out FILE.json")
    network, info = load_run(config.run)
    compute = choose_compute(config.precision, config.device, info.precision)
    thresholding = info.thresholding(config)
    localizer_config = thresholding.localizer_config
    if thresholding.threshold_from == "auto":
        # MaxBoxAcc has one threshold for all images, as published; boxes have one per map.
        localizer_config = replace(localizer_config, normalization="minmax")
    protocol = PROTOCOLS[config.protocol](info.image_size, localizer_config.normalization)
    plain = LocalizerConfig(
        protocol.localizer or localizer_config.localizer,
        normalization=localizer_config.normalization,
    )
    if protocol.localizer is not None and localizer_config != plain:
        raise ConfigError(
            f"localizer is {localizer_config.localizer}: the protocol {config.protocol} requires "
            f"{protocol.localizer} without further localizer options; use --localizer "
            f"{protocol.localizer} and no other localizer option, or another --protocol"
        )
    out = config.out or config.run / protocol.metrics_file
    page = out.parent / "report"
    if config.report:
        check_folder(page)
    splits = open_run_data(config, info)
    if config.split not in splits:
        raise ConfigError(
            f"{config.data or info.data}: no split {config.split!r}; "
            f"use --split {' or --split '.join(splits)}"
        )
    samples = splits[config.split]
    make_folder(out.parent)
    announce(compute, config.device)
    prepare_to_localize(network, info.image_size)
    network.to(compute.device)
    network.to(memory_format=torch.channels_last)
    localizer = localizer_config.create(network, **protocol.localizer_options)
    if not (
        localizer_config.shares_state(info.localizer_config) and load_fitted(config.run, localizer)
    ):
        preprocessing = Preprocessing(
            protocol.transform,
            network.mean,
            network.std,
            compute,
            config.batch_size,
            config.num_workers,
        )
        fit_localizer(localizer, splits.get("train", samples).paths(), preprocessing)
    protocols: list[EvaluationProtocol] = [protocol]
    if config.protocol == "wsoleval":
        protocols.append(at_own_thresholds(localizer_config, info.image_size))
    metric, *auto = evaluate_split(
        samples,
        network,
        localizer,
        compute,
        protocols=protocols,
        batch_size=config.batch_size,
        num_workers=config.num_workers,
    )
    report = protocol.report(metric, thresholding, config.split, *auto)
    if compute.is_main_process:
        is_detection = samples.is_multi_label and samples.has_boxes
        if is_detection and config.protocol == "wsoleval":
            _add_precision(report, _predictor(config, localizer), samples)
        measured = {
            "precision": compute.precision,
            "threshold_from": report.threshold_from,
            "epoch_from": info.epoch_from,
        }
        write_json(out, report.metrics | measured)
        if config.report:
            _write_report(report, config, _predictor(config, localizer), samples, page)
    shown = page / "index.html" if config.report else None
    errors = int(metric.num_errors)
    return Evaluation(*report, compute.is_main_process, shown, errors, compute.precision)


def _add_precision(report: Report, locate: Localizer, samples: Samples) -> None:
    """Add the average precision of predicted boxes to the metrics at the run's threshold."""
    # Imported here, as the library is not needed otherwise.

    found = average_precision(locate, samples)
    figures = {f"box_{name}": value for name, value in found._asdict().items()}
    report.metrics.update(figures)


def _write_report(
    report: Report, config: EvaluateConfig, locate: Localizer, samples: Samples, folder: Path
) -> None:
    """Write a report of predictions, which shows errors that metrics do not explain."""
    report_split(locate, samples, folder, max_images=config.report, metrics=report.metrics)


def _predictor(config: EvaluateConfig, localizer: ScoreMaps) -> Localizer:
    """Return the predictor of the evaluated boxes, with the fitted state of the localizer."""
    locate = Localizer(
        config.run,
        # Decoded as in the evaluation.
        **vars(LocalizerOptions.of(config, labels=(), scaled_decoding=False)),
    )
    if localizer.needs_fit:
        locate.localizer.load_state(localizer.state())
        locate.is_fitted = True
    return locate


def evaluate_split(
    samples: Samples,
    network: Network,
    localizer: ScoreMaps,
    compute: Compute,
    *,
    protocols: Sequence[EvaluationProtocol],
    batch_size: int,
    num_workers: int,
) -> list[LocalizationAccuracy]:
    """Return the counts of one split by protocol, summed over all processes.

    The batches are independent of the number of processes, which share them. Unreadable images
    count as incorrect and are logged.

    Args:
        samples: images of the split.
        network: classifier on its device.
        localizer: localizer; its maps are of the ground-truth labels.
        compute: device, precision and processes.
        protocols: evaluation protocols with the same transform.
        batch_size: images per step.
        num_workers: processes that decode images.
    """
    metrics = [LocalizationAccuracy(protocol.thresholds) for protocol in protocols]
    batches = split_batches(range(len(samples)), batch_size)
    mine = batches[compute.process_index :: compute.num_processes]
    transform = protocols[0].transform
    located = locate_split(samples, network, localizer, compute, transform, mine, num_workers)
    located = counting_errors(located, metrics)
    score = partial(score_located, samples, protocols)
    with Meter("evaluate", sum(map(len, mine)), compute.is_main_process) as meter:
        # The maps of one batch are scored while the network computes the next.
        for scored in in_order(score, located, num_processors(), ahead=batch_size):
            for metric, (rank, curves) in zip(metrics, scored, strict=True):
                metric.update(rank, curves)
            meter.advance(1)
    for metric in metrics:
        metric.to(compute.device)
        metric.sync()
    return metrics


def at_own_thresholds(localizer_config: LocalizerConfig, size: int) -> WSOLEval:
    """Return the protocol that scores the box of each map at the map's threshold.

    Args:
        localizer_config: localizer options.
        size: side of the network's input in pixels.
    """
    auto = resolve_threshold(replace(localizer_config, normalization="minmax"))
    return WSOLEval(size, auto.localizer_config.normalization, np.array([auto.threshold]))


def counting_errors(
    located: Iterator["Located"], metrics: Collection[LocalizationAccuracy]
) -> Iterator["Located"]:
    """Yield the same items, and count unreadable images.

    Args:
        located: network output for each image.
        metrics: metrics that count them.
    """
    for each in located:
        for metric in metrics:
            metric.num_errors += each.score_map is None
        yield each


class Located(NamedTuple):
    """Network output for one image.

    Attributes:
        image: index in the split.
        original_size: width and height of the image in pixels.
        rank: number of classes ranked before the ground-truth class, of multiple labels the best
            one; None if the scores are not finite.
        score_map: raw scores of the ground-truth class, of multiple labels the first listed,
            ``(H, W)``; None if the file is unreadable.
    """

    image: int
    original_size: tuple[int, int]
    rank: int | None
    score_map: NDArray[np.float32] | None


def locate_split(
    samples: Samples,
    network: Network,
    localizer: ScoreMaps,
    compute: Compute,
    transform: Transform,
    batches: list[list[Key]],
    num_workers: int,
    knows_classes: bool = True,
) -> Iterator[Located]:
    """Yield the network output for each image of some batches.

    Args:
        samples: images of the split.
        network: classifier on its device.
        localizer: localizer; its maps are of the ground-truth labels.
        compute: device and precision.
        transform: function from an image to the network's input.
        batches: keys of the images.
        num_workers: processes that decode images.
        knows_classes: whether the network has the classes of the split; otherwise score maps are of
            the predicted class.
    """
    for batch in load_batches(ImageFiles(samples.paths(), transform), batches, num_workers):
        for index, error in batch.errors:
            log.warning("counted as wrong: %s", error)
            yield Located(index, (0, 0), None, None)
        if not batch.indices:
            continue
        images = batch.images.to(compute.device)
        labels = torch.from_numpy(samples.labels[batch.indices]).to(compute.device)
        with compute.autocast():
            inputs = normalized(images, network.mean, network.std)
            logits, _, maps = localizer.locate(inputs, labels if knows_classes else None)
        ranks: list[int | None] = [None] * len(labels)
        if knows_classes:
            ground_truth = torch.from_numpy(samples.targets(batch.indices)).to(logits.device)
            ranks = _ranks(logits, _best_true(logits, ground_truth))
        yield from map(Located, batch.indices, batch.sizes, ranks, maps.cpu().numpy())


def score_located(
    samples: Samples, protocols: Sequence[EvaluationProtocol], located: Located
) -> list[tuple[int | None, IouCurves | None]]:
    """Return an image's rank and its curves by protocol; None without ground-truth boxes.

    For images with multiple labels, map and boxes are those of the first listed label.

    Args:
        samples: images of the split.
        protocols: evaluation protocols.
        located: network output for the image.
    """
    boxes = samples.own_boxes(located.image)
    if len(boxes) == 0:
        return [(located.rank, None)] * len(protocols)
    score_map = located.score_map
    if score_map is None:
        nothing = [np.zeros(len(protocol.thresholds)) for protocol in protocols]
        return [(None, IouCurves(zeros, zeros)) for zeros in nothing]
    least, most = score_map.min(), score_map.max()
    if not (np.isfinite(least) and np.isfinite(most)) or is_flat(least, most):
        log.warning("%s: the score map is constant or not finite", samples.ids[located.image])
    return [
        (located.rank, protocol.score(score_map, boxes, located.original_size))
        for protocol in protocols
    ]


def _best_true(logits: Tensor, ground_truth: Tensor) -> Tensor:
    """Return the highest-ranked label of each image, int64 ``(N,)``.

    Args:
        logits: ``(N, classes)``.
        ground_truth: 1 for each label of an image, else 0, ``(N, classes)``.
    """
    return logits.where(ground_truth > 0, -torch.inf).argmax(1)


def _ranks(logits: Tensor, labels: Tensor) -> list[int | None]:
    """Return the number of classes ranked before the label; None for non-finite scores.

    Ties are resolved by the lower index, as in argmax.
    """
    true = logits.gather(1, labels[:, None])
    lower = torch.arange(logits.shape[1], device=logits.device) < labels[:, None]
    ranks = ((logits > true) | ((logits == true) & lower)).sum(1).tolist()
    finite = logits.isfinite().all(1).tolist()
    return [rank if sound else None for rank, sound in zip(ranks, finite, strict=True)]
