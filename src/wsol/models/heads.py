"""What sits on a body's last feature maps: heads make logits, and a score map for each class."""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn


class Output(NamedTuple):
    """What a network returns.

    Attributes:
        logits: ``(N, classes)``.
        features: the body's last feature maps, ``(N, C, h, w)``.
        branches: what the head of a method makes besides, for its loss; that head says what.
    """

    logits: Tensor
    features: Tensor
    branches: tuple[Tensor, ...] = ()


class Head(nn.Module):
    """Base of heads.

    Attributes:
        channels: C, of the features.
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
        """Return the score maps ``(N, h, w)`` of ``labels`` ``(N,)``, before any scaling."""
        raise NotImplementedError

    def output(
        self, features: Tensor, labels: Tensor | None = None, tapped: tuple[Tensor, ...] = ()
    ) -> Output:
        """Return logits, features and, in training, the branches of the head.

        Args:
            features: ``(N, C, h, w)``.
            labels: int64 ``(N,)``, the true classes where they are known.
            tapped: outputs of ``layers``, as maps ``(N, C, h, w)``; empty outside training.
        """
        return Output(self(features), features)

    def output_maps(self, output: Output, labels: Tensor) -> Tensor:
        """Return the score maps ``(N, h, w)`` of ``labels``, with what an output already has."""
        return self.score_maps(output.features, labels)


class LinearHead(Head):
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

    classifiers = ("linear",)

    def __init__(self, channels: int, num_classes: int, shifted: bool = True) -> None:
        """Put the parts together."""
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
    """The head of a network without classes: it returns no logits.

    Args:
        channels: C, of the features.

    >>> NoHead(8)(torch.rand(2, 8, 4, 4)).shape
    torch.Size([2, 0])
    """

    num_classes = 0
    classifiers = ()

    def __init__(self, channels: int) -> None:
        """Keep the number of channels."""
        super().__init__()
        self.channels = channels

    def forward(self, features: Tensor) -> Tensor:
        """Return logits ``(N, 0)`` of features ``(N, C, h, w)``."""
        return features.new_zeros(features.shape[0], 0)


class ChannelMeanHead(LinearHead):
    """The same, with the maps of wsolevaluation: the mean over channels in place of their sum.

    >>> head, features = ChannelMeanHead(8, 3), torch.rand(1, 8, 4, 4)
    >>> label = torch.tensor([1])
    >>> sums = LinearHead.score_maps(head, features, label)
    >>> torch.equal(head.score_maps(features, label), sums / 8)
    True
    """

    def score_maps(self, features: Tensor, labels: Tensor) -> Tensor:
        """Return the class activation maps ``(N, h, w)`` of ``labels``, divided by C."""
        return super().score_maps(features, labels) / self.channels


class ConvHead(Head):
    """A 1x1 convolution that makes one map per class, and the mean of each map as its logit.

    It computes what ``LinearHead`` does, but its maps contain the bias.

    Args:
        channels: C, of the features.
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
        """Make the convolution."""
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
    """Return the map of one class for each image.

    Args:
        maps: ``(N, classes, h, w)``.
        labels: int64 ``(N,)``.

    >>> maps_of(torch.tensor([[[[1.0]], [[2.0]]]]), torch.tensor([1]))
    tensor([[[2.]]])
    """
    return maps[torch.arange(maps.shape[0], device=maps.device), labels]


FLAT = 2.0**-16
"""Share of a map's largest magnitude below which differences are rounding errors of float32, as in
``wsol.maps.normalize``."""


def scaled_maps(maps: Tensor) -> Tensor:
    """Scale maps ``(..., h, w)`` to [0, 1], each by its own minimum and maximum.

    A map that is constant except for rounding errors becomes zeros.

    >>> scaled_maps(torch.tensor([[1.0, 2.0, 5.0]]))
    tensor([[0.0000, 0.2500, 1.0000]])
    """
    lowest, highest = maps.amin((-2, -1), keepdim=True), maps.amax((-2, -1), keepdim=True)
    span = highest - lowest
    varies = span > FLAT * lowest.abs().maximum(highest.abs())
    return ((maps - lowest) / span.where(varies, 1)) * varies


def init_new_layers(module: nn.Module) -> None:
    """Draw the convolutions of new layers as wsolevaluation does: Xavier weights and zero biases.

    >>> layer = nn.Conv2d(3, 4, 1)
    >>> init_new_layers(layer)
    >>> layer.bias.tolist()
    [0.0, 0.0, 0.0, 0.0]
    """
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
