"""One step of a training: pictures through the network, and what is learnt from them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from accelerate import Accelerator
from accelerate.utils import convert_to_fp32
from torch import Tensor, nn
from torch.optim import Optimizer

from wsol.data.loader import Batch, normalized
from wsol.data.samples import Samples
from wsol.inference.device import Compute
from wsol.methods.base import Method
from wsol.models import Network
from wsol.training.cached_features import FeatureBatch
from wsol.training.config import TrainConfig
from wsol.training.finite import BufferCopy, SkippedSteps, gradients_are_finite
from wsol.training.optim import lr_factor
from wsol.training.sampler import step_seed
from wsol.training.targets import count_right, step_truth


@dataclass(frozen=True, eq=False)
class Stepper:
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
        """Learn from one step's pictures.

        A step whose loss or gradient is not finite changes nothing and counts for no picture.

        Args:
            number: of the step.
            batches: this process's share of the pictures; they go through the network one after
                another, and their gradients are added up.

        Returns:
            The loss times images, the right predictions, and the images, float64 ``(3,)``.

        Raises:
            ImageError: a picture could not be read.
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
        of_images = step_truth(self.samples, batch.indices, self.config.seed, number)
        labels, truth = (each.to(device) for each in of_images)
        inputs: Tensor | list[Tensor]
        if isinstance(batch, FeatureBatch):
            inputs, targets = [layer.to(device) for layer in batch.layers], truth
        else:
            inputs, targets = self.method.prepare(self._images(batch), truth)
        with self.compute.autocast():
            # Losses are no place to round.
            output = convert_to_fp32(self.model(inputs, labels))
            loss = self.method.loss(output, targets)
        count = len(labels)
        self.accelerator.backward(loss if count == images else loss * (count / images))
        right = count_right(output.logits, truth)
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
