"""Training step: forward and backward pass, optimizer step and handling of non-finite values."""

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
"""Additional consecutive steps that float16 may skip: each halves its initially high loss scale."""


@dataclass
class SkippedSteps:
    """Counter of skipped training steps, which ends the training after too many.

    Attributes:
        out: run folder, for messages.
        most: consecutive skipped steps that end the training.
    """

    out: Path
    most: int
    in_epoch: int = 0
    in_row: int = 0

    def note(self, step: int, sound: bool) -> None:
        """Record whether loss and gradients of a step were finite.

        Raises:
            RunError: too many consecutive steps were skipped.
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
                f"row, up to step {step}; start again with a lower --lr and another --out"
            )


def gradients_are_finite(model: nn.Module) -> bool:
    """Return whether all gradients of a model are finite numbers."""
    gradients = [weight.grad for weight in model.parameters() if weight.grad is not None]
    # One number for all, so that the device is synchronized once.
    return bool(torch.nn.utils.get_total_norm(gradients).isfinite())


class BufferCopy:
    """Copy of the running statistics of a model's layers in training mode."""

    def __init__(self, model: nn.Module) -> None:
        """Copy the buffers."""
        self._copies = [
            (buffer, buffer.clone())
            for layer in model.modules()
            if layer.training
            for buffer in layer.buffers(recurse=False)
        ]

    def restore(self) -> None:
        """Restore the buffers."""
        for buffer, copy in self._copies:
            buffer.copy_(copy)


def check_finite(out: Path, step: int, state: Mapping[str, object]) -> None:
    """Raise a RunError if tensors in the state after a step are not finite."""
    if not all(bool(value.isfinite().all()) for value in _tensors(state)):
        raise RunError(
            f"{out}: the weights are not finite after step {step} and were not saved; start again "
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
    """Training step with its network, optimizer and options.

    Attributes:
        samples: training split.
        model: the network, or its head on features, as prepared by the accelerator, possibly
            compiled.
        optimizer: optimizer of its weights; its groups have a ``share`` of the learning rate.
        method: training method, already attached.
        frozen: layers that stay in evaluation mode.
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
        """Run one training step.

        A step with a non-finite loss or gradient has no effect and counts no images. The gradients
        of the micro-batches of this process are summed.

        Returns:
            Sum of the loss over images, correct predictions, and number of images, float64
            ``(3,)``.

        Raises:
            ImageError: an image is unreadable.
            RunError: too many consecutive steps were skipped.
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
            # Gradients are synchronized only after the last micro-batch.
            with self.accelerator.no_sync(self.model):
                sums += self._learn(number, batch, images)
        sums += self._learn(number, batches[-1], images)
        sound = self._is_sound(float(sums[0]))
        if sound:
            self.optimizer.step()
            # Only the loss scaler of float16 skips steps: it has found non-finite gradients.
            sound = not self.accelerator.optimizer_step_was_skipped
        if not sound:
            before.restore()
        self.skipped.note(number, sound)
        return sums if sound else torch.zeros_like(sums)

    def _learn(self, number: int, batch: Batch | FeatureBatch, images: int) -> Tensor:
        """Add the gradient of one micro-batch of a step with the given number of images."""
        device = self.accelerator.device
        of_images = step_labels(self.samples, batch.indices, self.config.seed, number)
        labels, ground_truth = (each.to(device) for each in of_images)
        inputs: Tensor | list[Tensor]
        if isinstance(batch, FeatureBatch):
            inputs, targets = [layer.to(device) for layer in batch.layers], ground_truth
        else:
            inputs, targets = self.method.prepare(self._images(batch), ground_truth)
        with self.compute.autocast():
            # The loss is computed in float32.
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
        """Return whether loss and gradients are finite in all processes."""
        sound = math.isfinite(loss)
        # The loss scaler of float16 checks the gradients in the optimizer step.
        if self.accelerator.scaler is None:
            sound = sound and gradients_are_finite(self.network)
        if self.accelerator.num_processes == 1:
            return sound
        faults = torch.tensor([0.0 if sound else 1.0], device=self.accelerator.device)
        return float(self.accelerator.reduce(faults)) == 0
