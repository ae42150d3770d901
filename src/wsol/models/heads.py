"""Heads: logits and score maps from the last feature maps of a network's body."""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn


class Output(NamedTuple):
    """Output of a network.

    Attributes:
        logits: ``(N, classes)``.
        features: last feature maps of the body, ``(N, C, h, w)``.
        branches: additional outputs of a method's head for its loss, defined by that head.
    """

    logits: Tensor
    features: Tensor
    branches: tuple[Tensor, ...] = ()


class Head(nn.Module):
    """Base class of heads.

    Attributes:
        channels: C, channels of the features.
        num_classes: number of logits.
        layers: modules of the body whose outputs the head also needs in training.
        classifiers: names of its last layers, whose size is the number of classes.
    """

    channels: int
    num_classes: int
    layers: tuple[str, ...] = ()
    classifiers: tuple[str, ...]

    def forward(self, features: Tensor) -> Tensor:
        """Return the logits ``(N, classes)`` of features ``(N, C, h, w)``."""
        raise NotImplementedError

    def score_maps(self, features: Tensor, labels: Tensor) -> Tensor:
        """Return the raw score maps ``(N, h, w)`` of ``labels`` ``(N,)``."""
        raise NotImplementedError

    def output(
        self, features: Tensor, labels: Tensor | None = None, tapped: tuple[Tensor, ...] = ()
    ) -> Output:
        """Return logits, features and, in training, the branches of the head.

        Args:
            features: ``(N, C, h, w)``.
            labels: ground-truth classes if known, int64 ``(N,)``.
            tapped: outputs of ``layers`` as maps ``(N, C, h, w)``; empty outside training.
        """
        return Output(self(features), features)

    def output_maps(self, output: Output, labels: Tensor) -> Tensor:
        """Return the score maps ``(N, h, w)`` of ``labels``, reusing an output."""
        return self.score_maps(output.features, labels)


class LinearHead(Head):
    """Global average pooling and a linear layer.

    Args:
        channels: C, channels of the features.
        num_classes: number of logits.
        shifted: draw new weights from 0 to 2 / sqrt(C) instead of -1 to 1 / sqrt(C). The softmax
            is invariant to a constant added to the weights of all classes, but class activation
            maps are not: it adds a multiple of the channels' mean to each map. Each map thus starts
            as a mean of the channels, and training adds the class-specific part.

    Source: Zhou et al., Learning Deep Features for Discriminative Localization, CVPR 2016,
    section 2.

    >>> head = LinearHead(8, 3)
    >>> features = torch.rand(2, 8, 4, 4)
    >>> head(features).shape
    torch.Size([2, 3])
    """

    classifiers = ("linear",)

    def __init__(self, channels: int, num_classes: int, shifted: bool = True) -> None:
        """Create the layers."""
        super().__init__()
        self.channels, self.num_classes = channels, num_classes
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


class NoHead(Head):
    """Head of a network without classes: it returns no logits."""

    num_classes = 0
    classifiers = ()

    def __init__(self, channels: int) -> None:
        """Store the number of channels."""
        super().__init__()
        self.channels = channels

    def forward(self, features: Tensor) -> Tensor:
        """Return logits ``(N, 0)`` of features ``(N, C, h, w)``."""
        return features.new_zeros(features.shape[0], 0)


class ChannelMeanHead(LinearHead):
    """Linear head with the maps of wsolevaluation: the mean over channels instead of their sum."""

    def score_maps(self, features: Tensor, labels: Tensor) -> Tensor:
        """Return the class activation maps ``(N, h, w)`` of ``labels``, divided by C."""
        return super().score_maps(features, labels) / self.channels


class ConvHead(Head):
    """A 1x1 convolution with one map per class, and the mean of each map as its logit.

    It computes the logits of ``LinearHead``, but its maps contain the bias.

    Args:
        channels: C, channels of the features.
        num_classes: number of logits.

    Source: Zhang et al., Adversarial Complementary Learning for Weakly Supervised Object
    Localization, CVPR 2018, section 3.1.

    >>> head, features = ConvHead(8, 3), torch.rand(2, 8, 4, 4)
    >>> maps = head.score_maps(features, torch.tensor([0, 2]))
    >>> torch.allclose(maps.mean((1, 2)), head(features)[[0, 1], [0, 2]], atol=1e-6)
    True
    """

    classifiers = ("maps",)

    def __init__(self, channels: int, num_classes: int) -> None:
        """Create the convolution."""
        super().__init__()
        self.channels, self.num_classes = channels, num_classes
        self.maps = nn.Conv2d(channels, num_classes, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Return the logits ``(N, classes)`` of features ``(N, C, h, w)``."""
        maps: Tensor = self.maps(features)
        return maps.mean((2, 3))

    def score_maps(self, features: Tensor, labels: Tensor) -> Tensor:
        """Return the maps ``(N, h, w)`` of ``labels`` ``(N,)``."""
        maps: Tensor = self.maps(features)
        return maps_of(maps, labels)


def maps_of(maps: Tensor, labels: Tensor) -> Tensor:
    """Return the maps ``(N, h, w)`` of ``labels`` ``(N,)``, of maps ``(N, classes, h, w)``."""
    return maps[torch.arange(maps.shape[0], device=maps.device), labels]


FLAT = 2.0**-16
"""Difference below which a map is constant, relative to its largest magnitude, to allow for float32
rounding errors, as in ``wsol.maps.normalize``."""


def scaled_maps(maps: Tensor) -> Tensor:
    """Scale maps ``(..., h, w)`` to [0, 1], each by its minimum and maximum.

    A map that is constant except for rounding errors becomes zeros.

    >>> scaled_maps(torch.tensor([[1.0, 2.0, 5.0]]))
    tensor([[0.0000, 0.2500, 1.0000]])
    """
    lowest, highest = maps.amin((-2, -1), keepdim=True), maps.amax((-2, -1), keepdim=True)
    span = highest - lowest
    varies = span > FLAT * lowest.abs().maximum(highest.abs())
    return ((maps - lowest) / span.where(varies, 1)) * varies


def init_new_layers(module: nn.Module) -> None:
    """Initialize the convolutions of new layers as wsolevaluation: Xavier weights, zero biases."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
