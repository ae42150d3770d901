"""A classifier that can be asked where: a body that makes features, and a head on top."""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from wsol.models.layout import to_feature_maps


class Output(NamedTuple):
    """What a network returns.

    Attributes:
        logits: ``(N, classes)``.
        features: the body's last feature maps, ``(N, C, h, w)``.
    """

    logits: Tensor
    features: Tensor


class LinearHead(nn.Module):
    """Global average pooling and a linear layer.

    Args:
        channels: C, of the features.
        num_classes: number of logits.
        shifted: draw new weights from 0 to 2 / sqrt(C) instead of -1 to 1 / sqrt(C). The softmax
            does not see a constant added to the weights of all classes alike, but the class
            activation maps do: it adds a multiple of the channels' mean to each of them, so each
            starts as a mean of the channels, and training adds what is particular to the class.

    Source: Zhou et al., Learning Deep Features for Discriminative Localization, CVPR 2016,
    section 2.

    >>> head = LinearHead(8, 3)
    >>> features = torch.rand(2, 8, 4, 4)
    >>> head(features).shape
    torch.Size([2, 3])
    """

    def __init__(self, channels: int, num_classes: int, shifted: bool = True) -> None:
        """Put the parts together."""
        super().__init__()
        self.linear = nn.Linear(channels, num_classes)
        if shifted:
            nn.init.uniform_(self.linear.weight, 0, 2 / math.sqrt(channels))

    def forward(self, features: Tensor) -> Tensor:
        """Return the logits ``(N, classes)`` of features ``(N, C, h, w)``."""
        logits: Tensor = self.linear(features.mean((2, 3)))
        return logits

    def score_maps(self, features: Tensor, labels: Tensor) -> Tensor:
        """Return the class activation maps ``(N, h, w)`` of ``labels`` ``(N,)``.

        Their mean over pixels, plus the bias, is the label's logit: equation 2 of the paper.

        >>> head, features = LinearHead(8, 3), torch.rand(2, 8, 4, 4)
        >>> maps = head.score_maps(features, torch.tensor([0, 2]))
        >>> logits = maps.mean((1, 2)) + head.linear.bias[[0, 2]]
        >>> torch.allclose(logits, head(features)[[0, 1], [0, 2]], atol=1e-6)
        True
        """
        return torch.einsum("nchw,nc->nhw", features, self.linear.weight[labels])


class Network(nn.Module):
    """Body and head of a classifier.

    Args:
        body: maps images ``(N, 3, H, W)`` to features, by ``forward_features`` where it has
            one, as timm's networks do. Its submodules' names are the taps.
        head: maps feature maps to logits, and has ``score_maps``.
        mean: of the normalised input, per colour, on the scale of [0, 1].
        std: the same for the standard deviation.

    >>> network = Network(nn.Conv2d(3, 8, 4, stride=4), LinearHead(8, 2))
    >>> images = torch.rand(1, 3, 16, 16)
    >>> network(images).logits.shape, network.score_maps(images, torch.tensor([1])).shape
    (torch.Size([1, 2]), torch.Size([1, 4, 4]))
    """

    def __init__(
        self,
        body: nn.Module,
        head: LinearHead,
        mean: tuple[float, ...] = (0.5, 0.5, 0.5),
        std: tuple[float, ...] = (0.5, 0.5, 0.5),
    ) -> None:
        """Put the parts together."""
        super().__init__()
        self.body, self.head = body, head
        self.mean, self.std = mean, std

    def features(self, images: Tensor) -> Tensor:
        """Return the body's last feature maps ``(N, C, h, w)`` of images ``(N, 3, H, W)``."""
        features = getattr(self.body, "forward_features", self.body)(images)
        return to_feature_maps(features, self.body, images)

    def forward(self, images: Tensor) -> Output:
        """Return logits and features of normalised images ``(N, 3, H, W)``."""
        features = self.features(images)
        return Output(self.head(features), features)

    def score_maps(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return raw score maps ``(N, h, w)`` of ``labels`` ``(N,)``, before any scaling."""
        return self.head.score_maps(self.features(images), labels)
