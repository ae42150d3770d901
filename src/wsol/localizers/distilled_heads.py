"""Heads of distilled localizers."""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, smooth_l1_loss, softplus
from torchvision.ops import generalized_box_iou_loss


class Head(nn.Module):
    """Base class of heads: standardizes feature channels and mixes them.

    Args:
        channels: channels of the features.
        width: hidden channels.

    Attributes:
        mean: mean of each channel over the training features, float32 ``(C,)``.
        std: standard deviation of each channel, float32 ``(C,)``.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, channels: int, width: int = 64) -> None:
        """Initialize without standardization."""
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("std", torch.ones(channels))
        self.mix = nn.Conv2d(channels, width, 1)

    def mixed(self, features: Tensor) -> Tensor:
        """Return standardized and mixed features, float32 ``(N, width, h, w)``.

        Args:
            features: float32 ``(N, C, h, w)``.
        """
        shape = (1, -1, 1, 1)
        found: Tensor = self.mix((features - self.mean.view(shape)) / self.std.view(shape))
        return found

    def loss(self, features: Tensor, targets: Tensor) -> Tensor:
        """Return the training loss.

        Args:
            features: float32 ``(N, C, h, w)``.
            targets: ``(N, ...)``, from the localizer's ``target``.
        """
        raise NotImplementedError


class PixelHead(Head):
    """Head with one logit per position.

    It reads one position at a time, so it learns what belongs to objects in the whole collection,
    and not the shape of a coarse mask.

    Args:
        channels: channels of the features.
        width: hidden channels.

    Source: Siméoni et al., Unsupervised Object Localization: Observing the Background to Discover
    Objects (FOUND), CVPR 2023, section 3; there it is a single 1x1 convolution.

    >>> PixelHead(channels=8)(torch.rand(2, 8, 7, 7)).shape
    torch.Size([2, 7, 7])
    """

    def __init__(self, channels: int, width: int = 64) -> None:
        """Initialize with random weights."""
        super().__init__(channels, width)
        self.say = nn.Conv2d(width, 1, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Return logits ``(N, h, w)``, positive for objects."""
        said: Tensor = self.say(self.mixed(features).relu())
        return said[:, 0]

    def loss(self, features: Tensor, targets: Tensor) -> Tensor:
        """Return ``pixel_loss`` of the head's logits."""
        return pixel_loss(self(features), targets)


def pixel_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the mean binary cross-entropy over labelled positions.

    Args:
        logits: float32 ``(N, h, w)``.
        targets: int8 ``(N, h, w)``, 1 object, 0 background, -1 ignored; not all are ignored.

    >>> logits, targets = torch.tensor([[[0.0, 9.0]]]), torch.tensor([[[1, -1]]])
    >>> round(float(pixel_loss(logits, targets)), 4)
    0.6931
    """
    counts = targets >= 0
    return binary_cross_entropy_with_logits(logits[counts], targets[counts].float())


FIRST_REACH = 0.25
"""Initial distance of the box sides from each position, as a fraction of the image."""

BEND = 0.1
"""Difference, as a fraction of the image, above which the smooth L1 loss is linear."""


class BoxHead(Head):
    """Head with one box per image.

    Each position predicts its distance to each of the four sides and a weight per side; a side is
    the weighted mean of the predictions of all positions. Sides are most visible at their own
    position: with one weight for all four sides, boxes are much worse.

    Args:
        channels: channels of the features.
        width: hidden channels.

    Source: Zhang, Cao & Wu, Rethinking the Route Towards Weakly Supervised Object Localization,
    CVPR 2020, section 3.3, regress one box from the image; distances to the sides are from Tian
    et al., FCOS, ICCV 2019, equation 1.

    >>> BoxHead(channels=8)(torch.rand(2, 8, 7, 7)).shape
    torch.Size([2, 4])
    """

    def __init__(self, channels: int, width: int = 128) -> None:
        """Initialize with large boxes at the center."""
        super().__init__(channels, width)
        self.around = nn.Conv2d(width, width, 3, padding=1)
        self.say = nn.Conv2d(width, 8, 1)
        first = math.log(math.expm1(FIRST_REACH))
        self.say.bias = nn.Parameter(torch.tensor([0.0, first]).repeat_interleave(4))

    def forward(self, features: Tensor) -> Tensor:
        """Return boxes ``(N, 4)``, x0 y0 x1 y1 as fractions of the image, in [0, 1]."""
        said: Tensor = self.say(self.around(self.mixed(features)).relu()).flatten(2)
        weights = said[:, :4].softmax(2)
        reach = softplus(said[:, 4:])
        places = centres(features.shape[-2], features.shape[-1]).to(features)
        sides = torch.cat((places - reach[:, :2], places + reach[:, 2:]), dim=1)
        first, last = (sides * weights).sum(2).clamp(0, 1).chunk(2, dim=1)
        return torch.cat((first.minimum(last), first.maximum(last)), dim=1)

    def loss(self, features: Tensor, targets: Tensor) -> Tensor:
        """Return ``box_loss`` of the head's boxes."""
        return box_loss(self(features), targets)


def box_loss(found: Tensor, target: Tensor) -> Tensor:
    """Return the mean of the smooth L1 and generalised IoU losses of boxes.

    Args:
        found: predicted boxes, float32 ``(N, 4)``, x0 y0 x1 y1 as fractions of the image.
        target: target boxes, same shape.

    Source: Rezatofighi et al., Generalized Intersection over Union, CVPR 2019, algorithm 1.

    >>> box = torch.tensor([[0.0, 0.0, 0.5, 0.5]])
    >>> round(float(box_loss(box, box)), 6), float(box_loss(box, box + 0.5)) > 1
    (0.0, True)
    """
    sides = smooth_l1_loss(found, target, beta=BEND)
    overlap = generalized_box_iou_loss(found, target, reduction="mean")
    return sides + overlap


def centres(height: int, width: int) -> Tensor:
    """Return the centers of grid cells, ``(2, h * w)``, x and y as fractions of the image."""
    ys, xs = (torch.arange(0.5, count) / count for count in (height, width))
    return torch.stack((xs.expand(height, -1), ys[:, None].expand(-1, width))).flatten(1)


class InstanceHead(Head):
    """Head with a depth and class logits per position.

    The depth is 1 at the center of an object, 0.5 at its edge, also where it touches another
    object, and 0 outside. Three dilated convolutions provide the neighbourhood for this.

    Args:
        channels: channels of the features.
        width: hidden channels.
        num_classes: number of classes.

    Source: Bai & Urtasun, Deep Watershed Transform for Instance Segmentation, CVPR 2017,
    section 3; there the energy is quantized into levels, here it is continuous.

    >>> InstanceHead(channels=8, num_classes=3)(torch.rand(2, 8, 7, 7)).shape
    torch.Size([2, 4, 7, 7])
    """

    def __init__(self, channels: int, width: int = 64, num_classes: int = 1) -> None:
        """Initialize with random weights."""
        super().__init__(channels, width)
        self.around = nn.ModuleList(
            nn.Conv2d(width, width, 3, padding=reach, dilation=reach) for reach in (1, 2, 3)
        )
        self.say = nn.Conv2d(width, 1 + num_classes, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Return logits ``(N, 1 + classes, h, w)``: depth first, then classes."""
        inside = self.mixed(features).relu()
        for layer in self.around:
            inside = inside + layer(inside).relu()
        said: Tensor = self.say(inside)
        return said

    def loss(self, features: Tensor, targets: Tensor) -> Tensor:
        """Return ``instance_loss`` of the head's logits."""
        return instance_loss(self(features), targets)


def instance_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the mean cross-entropy of the depths, plus that of the classes.

    Classes are independent, with target 0 where there is no object, so that doubtful objects have
    low probabilities for all classes. Targets ``(N, 2, h, w)`` are a depth in [0, 1], and a class,
    -1 without an object.
    """
    depth, classes = targets.unbind(1)
    numbers = torch.arange(logits.shape[1] - 1, device=logits.device)
    is_class = (classes[:, None] == numbers.view(1, -1, 1, 1)).float()
    depths = binary_cross_entropy_with_logits(logits[:, 0], depth)
    return depths + binary_cross_entropy_with_logits(logits[:, 1:], is_class)
