"""Training of a classifier on image-level labels."""

import logging
import math
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.optim import SGD

from wsol._utils.files import FolderLock, output_folder
from wsol._utils.progress import Meter
from wsol.data.loader import Batch, TrainFiles, load_batches
from wsol.data.open import open_data
from wsol.data.samples import Samples
from wsol.data.transforms import TrainTransform
from wsol.errors import ConfigError, RunError, raise_if_out_of_memory
from wsol.inference.device import announce, make_accelerator
from wsol.localizers.cam import find_linear_layer
from wsol.localizers.config import LocalizerConfig, resolve_threshold
from wsol.methods.network import build_network
from wsol.models.utils import load_weights
from wsol.runs.run import RunInfo, load_start, save_run
from wsol.training.cached_features import (
    FeatureBatch,
    OnFeatures,
    cache_features,
    check_cached,
    fit_head,
)
from wsol.training.checkpoint import load_last, save_checkpoint
from wsol.training.config import TrainConfig
from wsol.training.logger import MetricsLogger, Row, describe
from wsol.training.optim import (
    batch_norms,
    check_compiler,
    check_sync_bn,
    parameter_groups,
    share_batch_norms,
)
from wsol.training.preflight import (
    check_folder,
    check_shares,
    data_digest,
    keep_options,
    trainable,
)
from wsol.training.sampler import ResumableSampler
from wsol.training.step import HALVINGS, SkippedSteps, TrainStep, check_finite
from wsol.training.validation import BestEpoch, Validation, Validator, chosen_reference

log = logging.getLogger("wsol")

B = TypeVar("B")


def train(config: TrainConfig) -> Path:
    """Train a classifier, choose its box threshold on the val split, and write the run folder.

    Args:
        config: training options.

    Returns:
        The run folder.

    Raises:
        DataError: the data set cannot be used for training.
        ConfigError: an option is invalid, or the run folder is in use.
        RunError: the loss is not finite in too many steps, or no checkpoint is readable when
            resuming.
    """
    return Trainer(config).run()


class Trainer:
    """Training of one run.

    Args:
        config: training options.

    Attributes:
        num_errors: unreadable images of the val split in the last validation; they count as
            incorrect.
        validator: validator on the val split, which keeps the best epoch.
        splits: splits of the data set.
    """

    def __init__(self, config: TrainConfig) -> None:
        """Load the data, create or restore the network, and lock the run folder."""
        self.config, self.num_errors = config, 0
        self.accelerator, self.compute = make_accelerator(config.precision, config.device)
        if config.sync_bn:
            check_sync_bn(self.accelerator.device)
        if config.compile:
            check_compiler(self.accelerator.device)
        splits = open_data(
            config.data,
            boxes=config.boxes,
            splits=config.splits,
            labels=config.labels,
            val_fraction=config.val_fraction,
            seed=config.seed,
            on_bad=config.on_bad_annotation,
            split_folders=config.split_folders,
        )
        self.splits = tuple(splits)
        self.samples, self.val = trainable(splits, config), splits.get("val")
        reference = chosen_reference(config, splits)
        _tell_ground_truth(config, splits)
        self.data_digest = data_digest(self.samples, self.val)
        self.order = ResumableSampler(
            len(self.samples), config.batch_size, config.epochs, config.seed
        )
        check_shares(
            self.order.images_per_step,
            self.accelerator.num_processes,
            config.gradient_accumulation_steps,
        )
        # As many images as in a micro-batch, so that memory suffices.
        parts = self.accelerator.num_processes * config.gradient_accumulation_steps
        self.validator = Validator(
            config,
            self.samples,
            self.val,
            reference,
            self.accelerator,
            self.compute,
            batch_size=math.ceil(self.order.images_per_step / parts),
        )
        # All processes check before the first one writes, so that none waits for a failed one.
        check_folder(config)
        self.accelerator.wait_for_everyone()
        with ExitStack() as lock:
            if self.accelerator.is_main_process:
                lock.enter_context(output_folder(config.out))
                lock.enter_context(FolderLock(config.out))
            self.accelerator.wait_for_everyone()
            self._begin()
            self.lock = lock.pop_all()

    def _begin(self) -> None:
        """Create or restore the network, and write the options to the folder."""
        config, several = self.config, self.samples.is_multi_label
        torch.manual_seed(config.seed)
        self.network = build_network(
            config.backbone,
            num_classes=len(self.samples.classes),
            method=config.method,
            output_stride=config.output_stride,
            pretrained=config.pretrained and config.init_from is None,
            # The sigmoid is not invariant to the shift: training would start saturated.
            shifted_head=config.shifted_head and not several,
            size=config.image_size,
        )
        if config.init_from is not None:
            load_start(self.network, config.init_from)
        if config.sync_bn:
            share_batch_norms(self.network)
        frozen = config.frozen_bn and config.has_trained_body
        self.frozen = batch_norms(self.network) if frozen else []
        self.method = config.method.create()
        self.method.is_multi_label = several
        self.method.attach(self.network)
        self.localizer = LocalizerConfig.of(config).create(self.network)
        self.network.to(memory_format=torch.channels_last)
        self.optimizer = SGD(
            parameter_groups(self.network, config, self.method),
            lr=config.lr,
            momentum=config.momentum,
            nesterov=config.momentum > 0,
            weight_decay=config.weight_decay,
        )
        if config.cache_features:
            processes = 1 if self._fits_head else self.accelerator.num_processes
            check_cached(self.network, self.method, processes)
        # Loss times images, correct predictions and images of the epoch: of this process since the
        # last gathering, and of all processes.
        self.sums, self.total = torch.zeros(2, 3, dtype=torch.float64)
        halvings = 0 if self.accelerator.scaler is None else HALVINGS
        self.skipped = SkippedSteps(config.out, config.max_skipped + halvings)
        self.step, rows = self._restore() if config.resume else (0, [])
        self.log = MetricsLogger(config.out, rows, config.tensorboard)
        learns = OnFeatures(self.network) if config.cache_features else self.network
        model, self.optimizer = self.accelerator.prepare(learns, self.optimizer)
        self.stepper = TrainStep(
            config=config,
            samples=self.samples,
            accelerator=self.accelerator,
            compute=self.compute,
            network=self.network,
            # Names in state dicts do not change, as the compiled model shares all weights.
            model=cast(nn.Module, torch.compile(model)) if config.compile else model,
            optimizer=self.optimizer,
            method=self.method,
            frozen=self.frozen,
            skipped=self.skipped,
            total_steps=self.order.total_steps,
        )
        if self.accelerator.is_main_process:
            keep_options(config, self.val)

    def run(self) -> Path:
        """Train to the end, write the run, and return its folder."""
        announce(self.compute, self.config.device)
        with self.lock:
            return self._run()

    def _run(self) -> Path:
        self.validator.open_pseudo_boxes()
        validation = self._fit_head() if self._fits_head else self._take_steps()
        if validation is None:
            validation = self.validator.validate(self.network, self.localizer)
        threshold = None
        if validation is not None:
            self.num_errors = int(validation.metric.num_errors)
            threshold = validation.metric.best_threshold()
        best, fitted = self.validator.best, self.validator.fitted
        if best is not None:
            log.info("keeping epoch %d, the best by %s", best.epoch, self.validator.reference)
            load_weights(self.network, best.network)
            threshold, fitted = best.threshold, best.fitted
        if self.accelerator.is_main_process:
            check_finite(self.config.out, self.step, self.network.state_dict())
            save_run(self.config.out, self.network, self._info(threshold), fitted)
        self.accelerator.wait_for_everyone()
        return self.config.out

    @property
    def _fits_head(self) -> bool:
        """Whether only a linear head is trained, so that its optimal weights can be computed."""
        config = self.config
        linear = find_linear_layer(self.network, config.image_size) is not None
        return config.cache_features and config.method.name == "none" and linear

    def _take_steps(self) -> Validation | None:
        """Run all remaining steps; return the last validation, if there is a val split."""
        validation: Validation | None = None
        images_left = (self.order.total_steps - self.step) * self.order.images_per_step
        with Meter("train", images_left, self.accelerator.is_main_process) as meter:
            for batches in self._steps():
                self.sums += self.stepper.step(self.step, batches)
                self.step += 1
                meter.advance(self.order.images_per_step)
                epoch, position = divmod(self.step, self.order.steps_per_epoch)
                if position == 0:
                    validation = self._end_epoch(epoch, meter.rate)
                if position == 0 or position % self.config.save_every == 0:
                    self._save_checkpoint()
        return validation

    def _fit_head(self) -> Validation | None:
        """Fit the head to the features in one step, instead of all steps."""
        if self.step == self.order.total_steps:
            return None
        begin = time.perf_counter()
        frozen, preprocessing = self.validator.prepared_copy(self.network)
        self.sums += fit_head(self.network, self.samples, frozen, preprocessing, self.accelerator)
        self.step = self.order.total_steps
        rate = len(self.samples) / (time.perf_counter() - begin)
        validation = self._end_epoch(self.config.epochs, rate)
        self._save_checkpoint()
        return validation

    def _steps(self) -> Iterator[list[Batch] | list[FeatureBatch]]:
        """Yield this process's micro-batches of each step."""
        config, process = self.config, self.accelerator
        keys = self.order.keys(
            self.step,
            self.order.total_steps,
            process.process_index,
            process.num_processes,
            config.gradient_accumulation_steps,
        )
        if config.cache_features:
            frozen, preprocessing = self.validator.prepared_copy(self.network)
            cached = cache_features(frozen, self.samples.paths(), preprocessing, config.out)
            yield from _in_steps(cached.batches(keys), config.gradient_accumulation_steps)
        else:
            transform = TrainTransform(config.image_size, config.resize)
            files = TrainFiles(self.samples.paths(), transform, config.scaled_decoding)
            batches = load_batches(files, keys, config.num_workers, process.device.type == "cuda")
            yield from _in_steps(batches, config.gradient_accumulation_steps)

    def _gather_sums(self) -> None:
        """Add this process's sums since the last call to the sums over all processes."""
        # Not every device has float64.
        here = self.sums.float().to(self.accelerator.device)
        gathered: Tensor = self.accelerator.reduce(here, "sum")
        self.total += gathered.cpu()
        self.sums.zero_()

    def _end_epoch(self, epoch: int, rate: float) -> Validation | None:
        """Log the epoch; return the validation if one was due."""
        self._gather_sums()
        loss, right, seen = self.total.tolist()
        self.total.zero_()
        row: Row = {
            "epoch": epoch,
            "step": self.step,
            "lr": self.optimizer.param_groups[-1]["lr"],
            "loss": loss / seen if seen else None,
            "train_top1": 100 * right / seen if seen else None,
            "skipped_steps": self.skipped.in_epoch,
            "images_per_second": round(rate, 2),
        }
        self.skipped.in_epoch = 0
        validation = None
        last = epoch == self.config.epochs
        if self.val is not None and (last or epoch % self.config.val_every == 0):
            validation = self.validator.validate(self.network, self.localizer)
        if validation is not None:
            row |= validation.figures()
            self.validator.keep_if_best(epoch, validation, self.network)
        if self.accelerator.is_main_process:
            self.log.add(row)
            log.info("%s", describe(row, self.config.epochs))
        return validation

    def _info(self, chosen: float | None) -> RunInfo:
        config, best = self.config, self.validator.best
        localizer_config, threshold, threshold_from = resolve_threshold(
            LocalizerConfig.of(config), chosen
        )
        return RunInfo(
            backbone=config.backbone,
            method=asdict(config.method),
            output_stride=config.output_stride,
            classes=self.samples.classes,
            image_size=config.image_size,
            **asdict(localizer_config),
            threshold=threshold,
            threshold_from=threshold_from,
            data=str(config.data.resolve()),
            boxes=None if config.boxes is None else str(config.boxes.resolve()),
            val_fraction=config.val_fraction,
            seed=config.seed,
            splits=None if config.splits is None else str(config.splits.resolve()),
            labels=None if config.labels is None else str(config.labels.resolve()),
            split_folders=config.split_folders,
            is_multi_label=self.samples.is_multi_label,
            precision=self.compute.precision,
            epoch=config.epochs if best is None else best.epoch,
            epoch_from=self.validator.reference or "last",
        )

    def _save_checkpoint(self) -> None:
        self._gather_sums()
        if not self.accelerator.is_main_process:
            return
        scaler, best = self.accelerator.scaler, self.validator.best
        state = {
            "step": self.step,
            "data": self.data_digest,
            "precision": self.compute.precision,
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": None if scaler is None else scaler.state_dict(),
            "rows": self.log.rows,
            "total": self.total,
            "skipped": [self.skipped.in_epoch, self.skipped.in_row],
            "best": None if best is None else best._asdict(),
        }
        check_finite(self.config.out, self.step, state)
        save_checkpoint(self.config.out / "checkpoints", self.step, state)

    def _restore(self) -> tuple[int, list[Row]]:
        """Load the last checkpoint; return its step and the metrics up to it."""
        state = load_last(self.config.out / "checkpoints")
        if state is None:
            log.info("%s: no checkpoint yet, starting from the beginning", self.config.out)
            return 0, []
        # Checkpoints of older versions have no digest.
        if state.get("data", self.data_digest) != self.data_digest:
            raise RunError(
                f"{self.config.data}: images, labels or classes have changed since the training "
                "started; restore them, or start a new run with another --out"
            )
        try:
            load_weights(self.network, state["network"])
            self.optimizer.load_state_dict(state["optimizer"])
            if state["scaler"] is not None and self.accelerator.scaler is not None:
                self.accelerator.scaler.load_state_dict(state["scaler"])
            step, rows = int(state["step"]), list(state["rows"])
            self.total += state["total"]
            self.skipped.in_epoch, self.skipped.in_row = state.get("skipped", (0, 0))
            best: dict[str, Any] | None = state.get("best")
            self.validator.best = None if best is None else BestEpoch(**best)
        except (ConfigError, KeyError, RuntimeError, TypeError, ValueError) as error:
            raise_if_out_of_memory(error)
            reason = str(error).splitlines()[0]
            raise RunError(f"{self.config.out}: the checkpoint does not fit: {reason}") from error
        before = state.get("precision", self.compute.precision)
        if before != self.compute.precision:
            log.warning(
                "%s: trained in %s so far, continuing in %s, as selected by auto on this machine",
                self.config.out,
                before,
                self.compute.precision,
            )
        log.info("resuming after step %d of %d", step, self.order.total_steps)
        return step, rows


def _in_steps(batches: Iterator[B], gradient_accumulation_steps: int) -> Iterator[list[B]]:
    while step := list(islice(batches, gradient_accumulation_steps)):
        yield step


def _tell_ground_truth(config: TrainConfig, splits: Mapping[str, Samples]) -> None:
    """Log how many images of each split have boxes; only those of val are used."""
    boxed = {name: samples.num_boxed for name, samples in splits.items()}
    if any(boxed.values()):
        counts = (f"{boxed[name]} of {len(splits[name])} in {name}" for name in splits)
        log.info("images with ground truth: %s", ", ".join(counts))
    if config.boxes is not None and not boxed.get("val"):
        log.warning(
            "%s: no image of the val split has a box, so boxes have no effect on this "
            "training; add boxes of val images to choose the threshold",
            config.boxes,
        )
