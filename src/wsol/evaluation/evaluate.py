"""Evaluation of a run on a split, with any number of processes."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wsol._utils.concurrency import in_order
from wsol._utils.files import make_folder, write_json
from wsol._utils.progress import Meter
from wsol.data.samples import Samples
from wsol.errors import ConfigError, ImageError
from wsol.evaluation.config import EvaluateConfig
from wsol.evaluation.predictions import PredictedMaps, Predictions, average_precision
from wsol.evaluation.protocols import PROTOCOLS, EvaluationProtocol, RunMetrics, WSOLEval
from wsol.inference.config import LocalizerOptions
from wsol.inference.device import announce
from wsol.inference.fitting import Preprocessing, fit_localizer, load_inputs
from wsol.inference.localizer import Localizer
from wsol.localizers import ScoreMaps
from wsol.localizers.config import LocalizerConfig, resolve_threshold
from wsol.maps import IouCurves
from wsol.maps.curves import num_processors
from wsol.maps.normalize import is_flat
from wsol.metrics import LocalizationAccuracy
from wsol.reports.page_data import Summary, ground_truth_of
from wsol.reports.report import check_folder, write_summaries
from wsol.runs.dataset import open_run_data
from wsol.runs.hub import is_on_hub
from wsol.runs.run import load_info
from wsol.types import Precision

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
    info = load_info(config.run)
    thresholding = info.thresholding(config)
    localizer_config = thresholding.localizer_config
    if thresholding.threshold_from == "auto":
        # MaxBoxAcc has one threshold for all images, as published; boxes have one per map.
        localizer_config = replace(localizer_config, normalization="minmax")
    protocol = PROTOCOLS[config.protocol](info.image_size, localizer_config.normalization)
    _check_localizer(protocol, localizer_config, config.protocol)
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
    locate = Localizer(
        config.run,
        # Metrics are of fully decoded images.
        **vars(LocalizerOptions.of(config, labels=(), scaled_decoding=False)),
    )
    compute = locate.compute
    announce(compute, config.device)
    localizer = locate.localizer
    if protocol.localizer_options or info.is_multi_label:
        # The predictor's options are those of whole images, and of multiple labels.
        localizer = localizer_config.create(locate.model, **protocol.localizer_options)
    preprocessing = locate.preprocessing._replace(transform=protocol.transform)
    _fit(locate, localizer, splits.get("train", samples), preprocessing)
    protocols: list[EvaluationProtocol] = [protocol]
    is_whole = config.protocol == "wsoleval"
    if is_whole:
        protocols.append(at_own_thresholds(localizer_config, info.image_size))
    shown = samples.evenly(config.report)
    is_detection = is_whole and samples.is_multi_label and samples.has_boxes
    predictions = Predictions(locate, samples, ground_truth_of(shown), is_detection)
    counts = evaluate_split(
        [samples],
        localizer,
        preprocessing,
        protocols,
        predictions=predictions if is_whole else None,
    )
    report = protocol.report(counts, thresholding, config.split)
    if compute.is_main_process:
        if is_detection:
            results = (summary.result for summary in predictions.in_order())
            precision = average_precision(results, samples)
            report.metrics.update(
                {f"box_{key}": value for key, value in precision._asdict().items()}
            )
        measured = {
            "precision": compute.precision,
            "threshold_from": report.threshold_from,
            "epoch_from": info.epoch_from,
        }
        write_json(out, report.metrics | measured)
        if config.report:
            found: Iterable[Summary] = predictions.in_order()
            if not is_whole:
                # The maps of the protocol are of crops, but boxes are of whole images.
                found = map(predictions.summary, locate(shown.paths(), shown.ids))
            on_page = (summary for summary in found if summary.is_shown)
            write_summaries(on_page, locate.info(samples.root), page, report.metrics)
    return Evaluation(
        *report,
        compute.is_main_process,
        page / "index.html" if config.report else None,
        int(counts[0].num_errors),
        compute.precision,
    )


def _check_localizer(
    protocol: EvaluationProtocol, localizer_config: LocalizerConfig, name: str
) -> None:
    """Raise an error if the protocol requires other localizer options."""
    required = protocol.localizer
    plain = LocalizerConfig(required or "", normalization=localizer_config.normalization)
    if required is not None and localizer_config != plain:
        raise ConfigError(
            f"localizer is {localizer_config.localizer}: the protocol {name} requires {required} "
            f"without further localizer options; use --localizer {required} and no other "
            "localizer option, or another --protocol"
        )


def _fit(
    locate: Localizer, localizer: ScoreMaps, train: Samples, preprocessing: Preprocessing
) -> None:
    """Fit a localizer if the run has no fitted state, and share the state with the predictor."""
    if not localizer.needs_fit:
        return
    if locate.is_fitted:
        localizer.load_state(locate.localizer.state())
    elif fit_localizer(localizer, train.paths(), preprocessing):
        locate.localizer.load_state(localizer.state())
        locate.is_fitted = True


def evaluate_split(
    references: Sequence[Samples],
    localizer: ScoreMaps,
    preprocessing: Preprocessing,
    protocols: Sequence[EvaluationProtocol],
    *,
    knows_classes: bool = True,
    predictions: Predictions | None = None,
    title: str = "evaluate",
) -> list[LocalizationAccuracy]:
    """Return the counts of one split, by reference and then protocol, summed over all processes.

    The references are the same images with different ground-truth boxes. The batches are
    independent of the number of processes, which share them. Unreadable images count as incorrect
    and are logged. The protocols have the transform of the preprocessing; predictions are made in
    the same pass.
    """
    metrics = [
        LocalizationAccuracy(protocol.thresholds) for _, protocol in product(references, protocols)
    ]
    samples, compute = references[0], preprocessing.compute
    count, size = len(samples), preprocessing.batch_size
    batches = [range(start, min(start + size, count)) for start in range(0, count, size)]
    mine = batches[compute.process_index :: compute.num_processes]
    located = locate_split(samples, localizer, preprocessing, mine, knows_classes, predictions)

    def score(image: Located) -> tuple[Located, list[IouCurves | None], Summary | None]:
        curves = [each for boxed in references for each in score_located(boxed, protocols, image)]
        if predictions is None or image.predicted is None:
            return image, curves, None
        summary = predictions.summarize(image.image, image.original_size, image.predicted)
        return image, curves, summary

    with Meter(title, sum(map(len, mine)), compute.is_main_process) as meter:
        # The maps of one batch are scored while the network computes the next.
        for image, curves, summary in in_order(score, located, num_processors(), ahead=size):
            for metric, curve in zip(metrics, curves, strict=True):
                metric.num_errors += image.score_map is None
                metric.update(image.rank, curve)
            if predictions is not None and summary is not None:
                predictions.found[image.image] = summary
            meter.advance(1)
    for metric in metrics:
        metric.to(compute.device)
        metric.sync()
    if predictions is not None:
        predictions.gather(compute)
    return metrics


def at_own_thresholds(localizer_config: LocalizerConfig, size: int) -> WSOLEval:
    """Return the protocol that scores the box of each map at the map's threshold."""
    auto = resolve_threshold(replace(localizer_config, normalization="minmax"))
    return WSOLEval(size, auto.localizer_config.normalization, np.array([auto.threshold]))


class Located(NamedTuple):
    """Network output for one image.

    Attributes:
        image: index in the split.
        original_size: width and height of the image in pixels.
        rank: number of classes ranked before the ground-truth class, of multiple labels the best
            one; None if the scores are not finite.
        score_map: raw scores of the ground-truth class, of multiple labels the first listed,
            ``(H, W)``; None if the file is unreadable.
        predicted: maps of the predicted classes, or the error of an unreadable file; None if the
            image is not predicted.
    """

    image: int
    original_size: tuple[int, int]
    rank: int | None
    score_map: NDArray[np.float32] | None
    predicted: PredictedMaps | ImageError | None = None


def locate_split(
    samples: Samples,
    localizer: ScoreMaps,
    preprocessing: Preprocessing,
    parts: Iterable[range],
    knows_classes: bool = True,
    predictions: Predictions | None = None,
) -> Iterator[Located]:
    """Yield the network output for each image of some batches, which are index ranges.

    Score maps are of the ground-truth labels, or of the predicted class if the network does not
    know the classes of the split.
    """
    device = preprocessing.compute.device
    for batch in load_inputs(samples.paths(), preprocessing, parts):
        for index, error in batch.errors:
            log.warning("counted as wrong: %s", error)
            is_predicted = predictions is not None and predictions.includes(index)
            yield Located(index, (0, 0), None, None, error if is_predicted else None)
        if not batch.indices:
            continue
        labels = torch.from_numpy(samples.labels[batch.indices]).to(device)
        images, predicted = batch.images, dict[int, PredictedMaps]()
        with preprocessing.compute.autocast():
            if predictions is not None:
                images = predictions.share(localizer, images, batch.indices)
            found = localizer.locate(images, labels if knows_classes else None)
            if predictions is not None:
                predicted = predictions.maps(localizer, images, batch.indices, found)
        ranks: list[int | None] = [None] * len(labels)
        if knows_classes:
            ground_truth = torch.from_numpy(samples.targets(batch.indices)).to(device)
            ranks = _ranks(found.logits, _best_true(found.logits, ground_truth))
        score_maps = found.maps.cpu().numpy()
        for row, index in enumerate(batch.indices):
            yield Located(index, batch.sizes[row], ranks[row], score_maps[row], predicted.get(row))


def score_located(
    samples: Samples, protocols: Sequence[EvaluationProtocol], located: Located
) -> list[IouCurves | None]:
    """Return an image's curves by protocol; None without ground-truth boxes.

    For images with multiple labels, map and boxes are those of the first listed label.
    """
    boxes, score_map = samples.own_boxes(located.image), located.score_map
    if len(boxes) == 0:
        return [None] * len(protocols)
    if score_map is None:
        nothing = [np.zeros(len(protocol.thresholds)) for protocol in protocols]
        return [IouCurves(zeros, zeros) for zeros in nothing]
    least, most = score_map.min(), score_map.max()
    if not (np.isfinite(least) and np.isfinite(most)) or is_flat(least, most):
        log.warning("%s: the score map is constant or not finite", samples.ids[located.image])
    return [protocol.score(score_map, boxes, located.original_size) for protocol in protocols]


def _best_true(logits: Tensor, ground_truth: Tensor) -> Tensor:
    """Return the highest-ranked label, int64 ``(N,)``; ground truth is 1 for labels, else 0."""
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
