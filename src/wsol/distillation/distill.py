"""Distillation of a run: a new head trained on its score maps."""

import logging
import math
import os
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import asdict, replace
from pathlib import Path
from typing import NamedTuple

import torch
from torch.optim import AdamW

from wsol._utils.files import FolderLock, output_folder
from wsol._utils.progress import Meter
from wsol.data.samples import Samples
from wsol.data.transforms import EvalTransform
from wsol.distillation.composites import (
    COMPOSITES_PER_IMAGE,
    Material,
    composite_ap50,
    take_composites,
    take_material,
)
from wsol.distillation.config import DistillConfig
from wsol.distillation.dataset import DistillationDataset, Teacher, build_dataset
from wsol.errors import ConfigError, RunError
from wsol.evaluation.evaluate import at_own_thresholds, evaluate_split
from wsol.evaluation.protocols import RunMetrics, WSOLEval
from wsol.inference.device import announce, choose_compute
from wsol.inference.fitting import Preprocessing, fit_localizer
from wsol.inference.loading import prepare_to_localize
from wsol.inference.postprocess import Postprocessing
from wsol.localizers import ScoreMaps
from wsol.localizers.config import LocalizerConfig, Thresholding, resolve_threshold
from wsol.localizers.distilled import PSOL, DistilledInstances, DistilledLocalizer, DistilledPixels
from wsol.localizers.distilled_heads import Head
from wsol.models import Network
from wsol.runs.config import save_config
from wsol.runs.dataset import open_run_data, with_data, write_val_list
from wsol.runs.run import RunInfo, load_fitted, load_run, save_run
from wsol.training.logger import MetricsLogger, Row, describe
from wsol.training.optim import lr_factor
from wsol.training.sampler import ResumableSampler
from wsol.types import Precision, Student


def fit_head(
    head: Head, dataset: DistillationDataset, config: DistillConfig, device: torch.device
) -> Iterator[Row]:
    """Train a head, and yield the metrics of each epoch.

    Raises:
        RunError: the loss is not finite.
    """
    defaults = config.defaults
    order = ResumableSampler(len(dataset.targets), config.batch_size, defaults.epochs, config.seed)
    optimizer = AdamW(head.parameters(), lr=defaults.lr, weight_decay=config.weight_decay)
    images = order.total_steps * order.images_per_step
    losses: list[float] = []
    with Meter("distill", images) as meter:
        for step, keys in enumerate(order.keys(0, order.total_steps, 0, 1), 1):
            for group in optimizer.param_groups:
                group["lr"] = defaults.lr * lr_factor("onecycle", step / order.total_steps)
            features, targets = dataset.batch([key.index for key in keys])
            loss = head.loss(features.to(device), targets.to(device))
            losses.append(loss.item())
            if not math.isfinite(losses[-1]):
                raise RunError(
                    f"{config.out}: the loss is {losses[-1]} at step {step}; use a lower --lr"
                )
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            meter.advance(order.images_per_step)
            if step % order.steps_per_epoch == 0:
                yield {
                    "epoch": step // order.steps_per_epoch,
                    "step": step,
                    "lr": optimizer.param_groups[0]["lr"],
                    "loss": sum(losses) / len(losses),
                    "images_per_second": round(meter.rate, 2),
                }
                losses.clear()


log = logging.getLogger("wsol")

STUDENTS: dict[Student, type[DistilledLocalizer]] = {
    "pixels": DistilledPixels,
    "psol": PSOL,
    "instances": DistilledInstances,
}
"""Student name to localizer class."""

NUM_HELD_OUT = 32
"""Composite images for the comparison of student and teacher."""


class Distilled(NamedTuple):
    """Result of a distillation.

    Attributes:
        folder: new run folder.
        val: metrics on the val split; None if it has no boxes.
        num_errors: unreadable images of the training data and of val; they are skipped in training,
            and count as incorrect on val.
        splits: splits of the data set.
    """

    folder: Path
    val: RunMetrics | None
    num_errors: int
    splits: tuple[str, ...]


def distill(config: DistillConfig) -> Distilled:
    """Train a head on the objects that a run localizes in its training images, as a new run.

    Ground-truth boxes are not used, except for metrics on the val split.

    Args:
        config: distillation options.

    Returns:
        The new run folder, and its metrics.

    Raises:
        RunError: not a finished run, or the loss is not finite.
        DataError: there are no training images.
        ConfigError: an option is invalid, or the run folder is in use.

    Source: Siméoni et al., Unsupervised Object Localization: Observing the Background to Discover
    Objects (FOUND), CVPR 2023, section 3 (pixels); Zhang, Cao & Wu, Rethinking the Route Towards
    Weakly Supervised Object Localization, CVPR 2020, algorithm 1 (psol).
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ConfigError("wsol distill supports one process only; start without accelerate launch")
    with output_folder(config.out), FolderLock(config.out):
        # A folder without these files may be left over from an interrupted distillation.
        if any((config.out / name).exists() for name in ("config.yaml", "model.safetensors")):
            raise ConfigError(f"{config.out}: contains a run; use another --out")
        return _distill(config)


def _distill(config: DistillConfig) -> Distilled:
    trained, info = load_run(config.run)
    compute = choose_compute(config.precision, config.device, info.precision)
    # The new run keeps the original weights.
    network = deepcopy(trained)
    prepare_to_localize(network, info.image_size)
    splits = open_run_data(config, info)
    if "train" not in splits:
        raise ConfigError(f"{config.data or info.data}: no train split; use another data set")
    announce(compute, config.device)
    network.to(compute.device)
    network.to(memory_format=torch.channels_last)
    preprocessing = Preprocessing.of(EvalTransform(info.image_size), network, compute, config)
    # Multi-label images have multiple objects, which often touch. A map of object positions
    # (``pixels``) loses the borders that are visible in the teacher's map, and has a lower AP50.
    best: Student = "instances" if splits["train"].is_multi_label else "pixels"
    config = replace(config, student=config.student or best)
    teacher = _teacher(config, network, info, splits["train"], preprocessing)
    own = teacher.localizer
    layers = config.head_layers or own.described_by
    student = STUDENTS[config.student or "pixels"](network, layers)
    images = splits["train"].evenly(config.defaults.max_images)
    is_composed = config.student == "instances"
    with compute.autocast():
        material = take_material(images, teacher, preprocessing) if is_composed else None
        if material is not None:
            number = min(COMPOSITES_PER_IMAGE * len(images), config.defaults.max_images)
            dataset = take_composites(
                material, number, student, preprocessing, config.out, config.seed
            )
        else:
            dataset = build_dataset(images, teacher, student, preprocessing, config.out)
    student.head = _trained_head(student, dataset, config, len(info.classes), compute.device)
    kept: ScoreMaps = student
    thresholding = resolve_threshold(
        LocalizerConfig(student.name, layers=student.layers, normalization=student.normalization)
    )
    if material is not None:
        # As in prediction with multi-label runs: each position of a map belongs to one label.
        options = info.thresholding(config)
        of_teacher = options.localizer_config.create(network, several=True)
        of_teacher.load_state(own.state())
        held_out = range(len(dataset.targets), len(dataset.targets) + NUM_HELD_OUT)
        pair = (student, thresholding), (of_teacher, options)
        with compute.autocast():
            better = is_better(*pair, info.classes, material, held_out, preprocessing)
        if not better:
            log.warning("the student is not better than its teacher, whose localizer is kept")
            kept, thresholding = own, options
    described = _info(config, info, thresholding, compute.precision)
    save_run(config.out, trained, described, kept.state())
    write_val_list(config.out, splits.get("val"))
    save_config(config.out / "config.yaml", replace(config, **config.defaults._asdict()))
    figures, missed = _measure(splits, kept, preprocessing, described)
    return Distilled(config.out, figures, dataset.num_errors + missed, tuple(splits))


def _teacher(
    config: DistillConfig,
    network: Network,
    info: RunInfo,
    train: Samples,
    preprocessing: Preprocessing,
) -> Teacher:
    """Return the run's localizer, or the requested one, fitted if needed."""
    localizer_config, threshold, _ = info.thresholding(config)
    localizer = localizer_config.create(network)
    if not (
        localizer_config.shares_state(info.localizer_config) and load_fitted(config.run, localizer)
    ):
        fit_localizer(localizer, train.paths(), preprocessing)
    return Teacher(localizer, localizer_config.normalization, threshold)


def is_better(
    student: tuple[ScoreMaps, Thresholding],
    teacher: tuple[ScoreMaps, Thresholding],
    classes: Sequence[str],
    material: Material,
    numbers: Sequence[int],
    preprocessing: Preprocessing,
) -> bool:
    """Return whether a student localizes pasted objects better than its teacher; log both AP50.

    No ground truth is needed, as the positions of pasted objects are known. If the student is not
    better, the new run keeps the teacher's localizer, so that distillation never makes boxes worse.
    The student was not trained on the composite images of these numbers.
    """
    figures = [
        composite_ap50(
            localizer,
            Postprocessing(tuple(classes), threshold, localizer_config.normalization, "multiple"),
            material,
            numbers,
            preprocessing,
        )
        for localizer, (localizer_config, threshold, _) in (student, teacher)
    ]
    log.info("AP50 of pasted objects: student %.1f, teacher %.1f", *figures)
    return figures[0] > figures[1]


def _trained_head(
    student: DistilledLocalizer,
    dataset: DistillationDataset,
    config: DistillConfig,
    num_classes: int,
    device: torch.device,
) -> Head:
    log.info("training on %d images", len(dataset.targets))
    torch.manual_seed(config.seed)
    head = student.new_head(dataset.features.values.shape[1], num_classes)
    statistics = dataset.features.channel_statistics()
    for known, found in zip((head.mean, head.std), statistics, strict=True):
        known.copy_(found)
    written = MetricsLogger(config.out, [])
    for row in fit_head(head.to(device), dataset, config, device):
        written.add(row)
        log.info("%s", describe(row, config.defaults.epochs))
    return head


def _info(
    config: DistillConfig, info: RunInfo, thresholding: Thresholding, precision: Precision
) -> RunInfo:
    """Return the info of the new run: the old one's, with new localizer options."""
    localizer_config, threshold, threshold_from = thresholding
    return replace(
        with_data(info, config),
        **asdict(localizer_config),
        threshold=threshold,
        threshold_from=threshold_from,
        precision=precision,
    )


def _measure(
    splits: dict[str, Samples], localizer: ScoreMaps, preprocessing: Preprocessing, info: RunInfo
) -> tuple[RunMetrics | None, int]:
    """Return the localizer's metrics on val, if that has boxes, and the number of errors."""
    if "val" not in splits or not splits["val"].has_boxes:
        return None, 0
    thresholding = info.thresholding()
    is_auto = thresholding.threshold_from == "auto"
    protocol = WSOLEval(
        info.image_size, "minmax" if is_auto else thresholding.localizer_config.normalization
    )
    own = at_own_thresholds(thresholding.localizer_config, info.image_size)
    counts = evaluate_split([splits["val"]], localizer, preprocessing, [protocol, own])
    return protocol.report(counts, thresholding, "val").metrics, int(counts[0].num_errors)
