"""One step of a training: images through the network, and what is learnt from them."""

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import convert_to_fp32
from torch import Tensor, nn
from torch.optim import Optimizer

from wsol.data.loader import Batch, normalized
from wsol.data.samples import Samples
from wsol.errors import RunError
from wsol.inference.device import Compute
from wsol.methods.base import Method
from wsol.models import Network
from wsol.training.cached_features import FeatureBatch
from wsol.training.config import TrainConfig
from wsol.training.optim import lr_factor
from wsol.training.sampler import count_right, step_labels, step_seed

log = logging.getLogger("wsol")

HALVINGS = 20
"""Steps in a row that float16 may skip besides: its scale begins too high, and each halves it."""


class SkippedSteps:
    """Counts the steps of a training that were skipped, and ends it where they are too many.

    Args:
        out: the run folder, for messages.
        most: steps in a row that end the training.

    >>> skipped = SkippedSteps(Path("run"), most=2)
    >>> skipped.note(7, sound=False)
    >>> skipped.note(8, sound=True)
    >>> skipped.in_epoch, skipped.in_row
    (1, 0)
    """

    def __init__(self, out: Path, most: int) -> None:
        """Count from zero."""
        self.out, self.most = out, most
        self.in_epoch = self.in_row = 0

    def note(self, step: int, sound: bool) -> None:
        """Count a step.

        Args:
            step: its number.
            sound: whether loss and gradients were finite.

        Raises:
            RunError: it is one too many in a row.
        """
        if sound:
            self.in_row = 0
            return
        self.in_row += 1
        self.in_epoch += 1
        log.warning("step %d skipped: the loss or a gradient is not finite", step)
        if self.in_row >= self.most:
            raise RunError(
                f"{self.out}: the loss or a gradient was not finite in {self.in_row} steps in a "
                f"row, up to step {step}: start again with a lower --lr and another --out"
            )


def gradients_are_finite(model: nn.Module) -> bool:
    """Return whether all gradients of a model are finite numbers."""
    gradients = [weight.grad for weight in model.parameters() if weight.grad is not None]
    # Of all in one number, so that a device is waited for once.
    return bool(torch.nn.utils.get_total_norm(gradients).isfinite())


class BufferCopy:
    """What layers note of the images they have seen, as it is now.

    Args:
        model: whose buffers they are: means and deviations of batch normalisation. Layers in
            evaluation mode note nothing.

    >>> layer = nn.BatchNorm1d(1)
    >>> before = BufferCopy(layer)
    >>> _ = layer(torch.tensor([[torch.nan], [1.0]]))
    >>> before.restore()
    >>> layer.running_mean
    tensor([0.])
    """

    def __init__(self, model: nn.Module) -> None:
        """Copy it."""
        learning = [layer for layer in model.modules() if layer.training]
        self._copies = [
            (buffer, buffer.clone())
            for layer in learning
            for buffer in layer.buffers(recurse=False)
        ]

    def restore(self) -> None:
        """Put it back."""
        for buffer, copy in self._copies:
            buffer.copy_(copy)


def check_finite(out: Path, step: int, state: Mapping[str, object]) -> None:
    """Refuse to save what is not finite.

    Args:
        out: the run folder, for messages.
        step: steps done.
        state: tensors, and whatever holds some.

    Raises:
        RunError: a number in it is not finite.

    >>> check_finite(Path("run"), 1, {"network": {"w": torch.zeros(2)}})
    """
    if not all(bool(value.isfinite().all()) for value in _tensors(state)):
        raise RunError(
            f"{out}: the weights are not finite after step {step} and were not saved: start again "
            "with a lower --lr and another --out"
        )


def _tensors(state: object) -> Iterator[Tensor]:
    if isinstance(state, Tensor):
        yield state
    elif isinstance(state, Mapping):
        for value in state.values():
            yield from _tensors(value)
    elif isinstance(state, list | tuple):
        for value in state:
            yield from _tensors(value)


@dataclass(frozen=True, eq=False)
class TrainStep:
    """What takes part in a step.

    Args:
        config: options of the training.
        samples: the training split.
        accelerator: shares the step among processes.
        compute: device and precision.
        network: that learns.
        model: the same, or its head on features, as the accelerator has prepared it, perhaps
            compiled.
        optimizer: of its weights; its groups have a ``share`` of the learning rate.
        method: the training method, already attached.
        frozen: layers that stay in evaluation mode.
        skipped: counts the steps that did not count.
        total_steps: of the training.
    """

    config: TrainConfig
    samples: Samples
    accelerator: Accelerator
    compute: Compute
    network: Network
    model: nn.Module
    optimizer: Optimizer
    method: Method
    frozen: Sequence[nn.Module]
    skipped: SkippedSteps
    total_steps: int

    def step(self, number: int, batches: Sequence[Batch | FeatureBatch]) -> Tensor:
        """Learn from one step's images.

        A step whose loss or gradient is not finite changes nothing and counts for no image.

        Args:
            number: of the step.
            batches: this process's share of the images; they go through the network one after
                another, and their gradients are added up.

        Returns:
            The loss times images, the right predictions, and the images, float64 ``(3,)``.

        Raises:
            ImageError: an image could not be read.
            RunError: too many steps in a row did not count.
        """
        config = self.config
        torch.manual_seed(step_seed(config.seed, number, self.accelerator.process_index))
        factor = lr_factor(config.schedule, number / self.total_steps, config.milestones)
        for group in self.optimizer.param_groups:
            group["lr"] = config.lr * group["share"] * factor
        self.model.train()
        for layer in self.frozen:
            layer.eval()
        before = BufferCopy(self.network)
        self.optimizer.zero_grad()
        images = sum(len(batch.indices) for batch in batches)
        sums = torch.zeros(3, dtype=torch.float64)
        for batch in batches[:-1]:
            # Processes need to agree on the whole gradient alone.
            with self.accelerator.no_sync(self.model):
                sums += self._learn(number, batch, images)
        sums += self._learn(number, batches[-1], images)
        sound = self._is_sound(float(sums[0]))
        if sound:
            self.optimizer.step()
            # Nothing but the scaler of float16 skips: it has found gradients that are not finite.
            sound = not self.accelerator.optimizer_step_was_skipped
        if not sound:
            before.restore()
        self.skipped.note(number, sound)
        return sums if sound else torch.zeros_like(sums)

    def _learn(self, number: int, batch: Batch | FeatureBatch, images: int) -> Tensor:
        """Add one batch's share of the gradient of a step that sees so many images."""
        device = self.accelerator.device
        of_images = step_labels(self.samples, batch.indices, self.config.seed, number)
        labels, ground_truth = (each.to(device) for each in of_images)
        inputs: Tensor | list[Tensor]
        if isinstance(batch, FeatureBatch):
            inputs, targets = [layer.to(device) for layer in batch.layers], ground_truth
        else:
            inputs, targets = self.method.prepare(self._images(batch), ground_truth)
        with self.compute.autocast():
            # Losses are no place to round.
            output = convert_to_fp32(self.model(inputs, labels))
            loss = self.method.loss(output, targets)
        count = len(labels)
        self.accelerator.backward(loss if count == images else loss * (count / images))
        right = count_right(output.logits, ground_truth)
        return torch.tensor([float(loss.detach()) * count, right, count], dtype=torch.float64)

    def _images(self, batch: Batch) -> Tensor:
        if batch.errors:
            raise batch.errors[0][1]
        images = batch.images.to(self.accelerator.device, non_blocking=True)
        return normalized(images, self.network.mean, self.network.std)

    def _is_sound(self, loss: float) -> bool:
        """Return whether loss and gradients are finite, in all processes alike."""
        sound = math.isfinite(loss)
        # The scaler of float16 looks at gradients itself, when the optimizer steps.
        if self.accelerator.scaler is None:
            sound = sound and gradients_are_finite(self.network)
        if self.accelerator.num_processes == 1:
            return sound
        faults = torch.tensor([0.0 if sound else 1.0], device=self.accelerator.device)
        return float(self.accelerator.reduce(faults)) == 0
