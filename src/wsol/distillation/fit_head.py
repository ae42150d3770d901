"""Training of a head on what a teacher says of pictures."""

import math
from collections.abc import Iterator

import torch
from torch.optim import AdamW

from wsol._utils.progress import Meter
from wsol.distillation.config import DistillConfig
from wsol.distillation.dataset import Lessons
from wsol.errors import RunError
from wsol.localizers.distilled import Head
from wsol.training.logger import Row
from wsol.training.sampler import TrainingOrder
from wsol.training.schedule import lr_factor


def fit_head(
    head: Head, lessons: Lessons, config: DistillConfig, device: torch.device
) -> Iterator[Row]:
    """Train a head, and yield the figures of each epoch.

    Args:
        head: to be trained, on the device.
        lessons: what it learns from.
        config: the options.
        device: of the head.

    Raises:
        RunError: the loss is not finite.
    """
    course = config.course
    order = TrainingOrder(len(lessons.targets), config.batch_size, course.epochs, config.seed)
    optimizer = AdamW(head.parameters(), lr=course.lr, weight_decay=config.weight_decay)
    images = order.total_steps * order.images_per_step
    losses: list[float] = []
    with Meter("distill", images) as meter:
        for step, keys in enumerate(order.keys(0, order.total_steps, 0, 1), 1):
            for group in optimizer.param_groups:
                group["lr"] = course.lr * lr_factor("onecycle", step / order.total_steps)
            features, targets = lessons.batch([key.index for key in keys])
            loss = head.loss(features.to(device), targets.to(device))
            losses.append(loss.item())
            if not math.isfinite(losses[-1]):
                raise RunError(
                    f"{config.out}: the loss is {losses[-1]} at step {step}: try a lower --lr"
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
