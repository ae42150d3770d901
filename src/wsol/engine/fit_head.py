"""Training of a head on the boxes of a teacher."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import smooth_l1_loss
from torch.optim import AdamW
from torchvision.ops import generalized_box_iou_loss

from wsol.engine.distill_config import DistillConfig
from wsol.engine.lessons import Lessons
from wsol.engine.log import Row
from wsol.engine.order import TrainingOrder
from wsol.engine.progress import Meter
from wsol.engine.schedule import lr_factor
from wsol.errors import RunError
from wsol.localizers.box_head import BoxHead

BEND = 0.1
"""Difference, as a share of the picture, from which on the smooth L1 loss grows linearly."""


def fit_head(
    head: BoxHead, lessons: Lessons, config: DistillConfig, device: torch.device
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
    order = TrainingOrder(len(lessons.boxes), config.batch_size, config.epochs, config.seed)
    optimizer = AdamW(head.parameters(), lr=config.lr, weight_decay=config.weight_decay)
    images = order.total_steps * order.images_per_step
    losses: list[float] = []
    with Meter("distill", images) as meter:
        for step, keys in enumerate(order.keys(0, order.total_steps, 0, 1), 1):
            for group in optimizer.param_groups:
                group["lr"] = config.lr * lr_factor("onecycle", step / order.total_steps)
            features, boxes = lessons.batch([key.index for key in keys])
            loss = box_loss(head(features.to(device)), boxes.to(device))
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


def box_loss(found: Tensor, wanted: Tensor) -> Tensor:
    """Return how far boxes are from others: the mean of smooth L1 and generalised IoU losses.

    Args:
        found: float32 ``(N, 4)``, x0 y0 x1 y1 as shares of the picture.
        wanted: of the same shape.

    Source: Rezatofighi et al., Generalized Intersection over Union, CVPR 2019, algorithm 1.

    >>> box = torch.tensor([[0.0, 0.0, 0.5, 0.5]])
    >>> round(float(box_loss(box, box)), 6), float(box_loss(box, box + 0.5)) > 1
    (0.0, True)
    """
    sides = smooth_l1_loss(found, wanted, beta=BEND)
    overlap = generalized_box_iou_loss(found, wanted, reduction="mean")
    return sides + overlap
