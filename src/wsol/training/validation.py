"""Validation during training, and selection of the best epoch."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from accelerate import Accelerator
from torch import Tensor

from wsol.data.samples import Samples
from wsol.errors import DataError
from wsol.evaluation.evaluate import evaluate_split
from wsol.evaluation.protocols import WSOLEval
from wsol.evaluation.pseudo_boxes import (
    PSEUDO_BOXES,
    add_pseudo_boxes,
    choose_reference,
    read_pseudo_boxes,
    write_pseudo_boxes,
)
from wsol.inference.device import Compute
from wsol.inference.fitting import Preprocessing, fit_localizer
from wsol.inference.loading import prepare_to_localize
from wsol.localizers import ScoreMaps
from wsol.metrics import LocalizationAccuracy
from wsol.models import Network
from wsol.training.config import TrainConfig
from wsol.types import Reference

METRICS = ("top1_cls", "max_box_acc_v2", "gt_known", "num_with_ground_truth")
"""Metrics of the val split that are logged after each epoch."""


def chosen_reference(config: TrainConfig, splits: Mapping[str, Samples]) -> Reference | None:
    """Return the boxes that select the best epoch, or None to keep the last epoch.

    Raises:
        DataError: ``keep_best`` is set without a val split.
    """
    if not config.keep_best:
        return None
    if "val" not in splits:
        raise DataError(
            f"{config.data}: no val split to select the best epoch on; use a higher "
            "--val_fraction, or --keep_best false"
        )
    return choose_reference(config.select_by, splits, config.data)


class Validation(NamedTuple):
    """Result of the network on the val split.

    Attributes:
        metric: counts of the whole split; box metrics if it has ground truth.
        agreement: MaxBoxAccV2 against pseudo-boxes, in percent; None if these are not used.
    """

    metric: LocalizationAccuracy
    agreement: float | None

    def figures(self) -> dict[str, float | int | None]:
        """Return the metrics to log after an epoch."""
        # Not compute(), which would sum over the processes a second time.
        figures = self.metric.at(self.metric.best_threshold() or 0.0)
        agreement = {} if self.agreement is None else {"val_agreement": self.agreement}
        return {f"val_{key}": figures[key] for key in METRICS} | agreement


class BestEpoch(NamedTuple):
    """State of the best epoch on val so far.

    Attributes:
        epoch: number of the epoch.
        score: MaxBoxAccV2 on val, against ground truth or pseudo-boxes, in percent.
        threshold: best threshold on the ground truth of val; None without ground truth.
        network: weights, on the CPU.
        fitted: fitted state of the localizer.
    """

    epoch: int
    score: float
    threshold: float | None
    network: dict[str, Tensor]
    fitted: dict[str, Tensor]


@dataclass(eq=False)
class Validator:
    """Evaluates a network on the val split, and keeps the best epoch.

    Attributes:
        train: training split, to which localizers are fitted.
        val: val split, or None.
        reference: boxes that select the best epoch; None to keep none.
        batch_size: images per step.
        fitted: fitted state of the localizer in the last validation.
        best: best epoch so far.
        pseudo: val split with pseudo-boxes, if these are used.
    """

    config: TrainConfig
    train: Samples
    val: Samples | None
    reference: Reference | None
    accelerator: Accelerator
    compute: Compute
    batch_size: int
    fitted: Mapping[str, Tensor] = field(default_factory=dict)
    best: BestEpoch | None = None
    pseudo: Samples | None = None

    def open_pseudo_boxes(self) -> None:
        """Predict the pseudo-boxes of val if needed, or read those of the run."""
        config = self.config
        if self.reference != "pseudo_boxes" or self.val is None:
            return
        if self.accelerator.is_main_process and not (config.out / PSEUDO_BOXES).is_file():
            found = add_pseudo_boxes(
                self.val,
                batch_size=config.batch_size,
                num_workers=config.num_workers,
                precision=config.precision,
                device=config.device,
            )
            write_pseudo_boxes(config.out, found)
        self.accelerator.wait_for_everyone()
        found = read_pseudo_boxes(config.out, self.val)
        self.pseudo = found.select([i for i in range(len(found)) if len(found.own_boxes(i))])
        if len(self.pseudo) == 0:
            raise DataError(
                f"{config.data}: no image of the val split has a pseudo-box; use --keep_best false"
            )

    def prepared_copy(self, network: Network) -> tuple[Network, Preprocessing]:
        """Return a copy of the network on its device for localization, and its preprocessing."""
        copied = deepcopy(network)
        return copied, self._prepare(copied)

    def _prepare(self, network: Network) -> Preprocessing:
        """Prepare a network for localization; return the preprocessing of whole images."""
        config = self.config
        prepare_to_localize(network.cpu(), config.image_size)
        network.to(self.compute.device)
        return Preprocessing(
            WSOLEval(config.image_size, config.normalization).transform,
            network.mean,
            network.std,
            self.compute,
            self.batch_size,
            config.num_workers,
        )

    def validate(self, network: Network, localizer: ScoreMaps) -> Validation | None:
        """Fit a copy of the localizer, and evaluate the network; None without a val split."""
        config = self.config
        if self.accelerator.num_processes > 1:
            # Running statistics differ between processes; those of the first are saved.
            for buffer in network.buffers():
                torch.distributed.broadcast(buffer, src=0)
        # A copy, as networks prepared for localization cannot be trained.
        network, localizer = deepcopy((network, localizer))
        preprocessing = self._prepare(network)
        fit_localizer(localizer, self.train.paths(), preprocessing)
        self.fitted = localizer.state()
        if self.val is None:
            return None

        def evaluate(samples: Samples) -> LocalizationAccuracy:
            protocol = WSOLEval(config.image_size, config.normalization)
            (metric,) = evaluate_split([samples], localizer, preprocessing, [protocol])
            return metric

        agreement = None
        if self.pseudo is not None:
            agreement = evaluate(self.pseudo).at(0.0)["max_box_acc_v2"]
        return Validation(evaluate(self.val), agreement)

    def keep_if_best(self, epoch: int, validation: Validation, network: Network) -> None:
        """Keep an epoch's network if it is the best so far; ties keep the earliest."""
        if self.reference is None:
            return
        score = validation.agreement
        if self.reference == "ground_truth":
            score = validation.metric.at(0.0)["max_box_acc_v2"]
        if score is None or (self.best is not None and score <= self.best.score):
            return
        network_state, fitted = (
            {name: value.detach().cpu().clone() for name, value in state.items()}
            for state in (network.state_dict(), self.fitted)
        )
        threshold = validation.metric.best_threshold()
        self.best = BestEpoch(epoch, score, threshold, network_state, fitted)
