"""The learnt head that says of each place how deep in an object it is, and of which class."""

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from wsol.localizers.distilled import Head

WIDTH = 64
"""Channels of the convolutions."""


class InstanceHead(Head):
    """From features to a depth and class logits for each place.

    The depth is 1 in the middle of an object, one half at its edge, also where another object
    touches it, and 0 outside. Three dilated convolutions see the neighbourhood that tells so.

    Args:
        channels: of the features.
        width: channels inside.
        num_classes: classes.

    Source: Bai & Urtasun, Deep Watershed Transform for Instance Segmentation, CVPR 2017,
    section 3; there the energy has levels, here it is a number.

    >>> InstanceHead(channels=8, num_classes=3)(torch.rand(2, 8, 7, 7)).shape
    torch.Size([2, 4, 7, 7])
    """

    def __init__(self, channels: int, width: int = WIDTH, num_classes: int = 1) -> None:
        """Start at random."""
        super().__init__(channels, width)
        self.around = nn.ModuleList(
            nn.Conv2d(width, width, 3, padding=reach, dilation=reach) for reach in (1, 2, 3)
        )
        self.say = nn.Conv2d(width, 1 + num_classes, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Return logits ``(N, 1 + classes, h, w)``: of the depth, then of the classes.

        Args:
            features: float32 ``(N, C, h, w)``.
        """
        inside = self.mixed(features).relu()
        for layer in self.around:
            inside = inside + layer(inside).relu()
        said: Tensor = self.say(inside)
        return said

    def loss(self, features: Tensor, targets: Tensor) -> Tensor:
        """Return how far the head is from known instances, see ``instance_loss``.

        Args:
            features: float32 ``(N, C, h, w)``.
            targets: float32 ``(N, 2, h, w)``, depths and classes.
        """
        return instance_loss(self(features), targets)


def instance_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the mean cross-entropy of the depths, plus that of the classes.

    Each class is a question of its own, answered with no where there is no object, so that doubtful
    objects have low probabilities of all classes.

    Args:
        logits: float32 ``(N, 1 + classes, h, w)``.
        targets: float32 ``(N, 2, h, w)``: depth in [0, 1], and class, -1 where there is no object.

    >>> targets = torch.tensor([0.0, -1.0]).view(1, 2, 1, 1)
    >>> round(float(instance_loss(torch.zeros(1, 3, 1, 1), targets)), 4)
    1.3863
    """
    depth, classes = targets.unbind(1)
    numbers = torch.arange(logits.shape[1] - 1, device=logits.device)
    is_class = (classes[:, None] == numbers.view(1, -1, 1, 1)).float()
    depths = binary_cross_entropy_with_logits(logits[:, 0], depth)
    return depths + binary_cross_entropy_with_logits(logits[:, 1:], is_class)
