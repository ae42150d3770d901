"""Heads with a foreground map, and pooling by foreground and background."""

from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, interpolate

from wsol.models.heads import LinearHead
from wsol.models.network import Network
from wsol.models.utils import stages_of

EPSILON = 1e-5
"""Added to variances, as in batch normalization."""


class ForegroundHead(LinearHead):
    """Base class of heads with a foreground map in addition to the linear classifier.

    A 1x1 convolution reads the last features and those of earlier layers, concatenated on the
    finest grid. Batch normalization standardizes each of its input and output channels. The linear
    classifier does not depend on the map.

    Args:
        old: head of plain training, whose classifier is kept.
        layers: modules of the body whose outputs are read in addition to the last features.
        layer_channels: channels of these outputs.

    Attributes:
        num_maps: number of maps of the convolution.
    """

    num_maps: int

    def __init__(
        self, old: LinearHead, layers: Sequence[str], layer_channels: Sequence[int]
    ) -> None:
        """Store the classifier and initialize the convolution."""
        super().__init__(old.channels, old.num_classes)
        self.linear, self.layers = old.linear, tuple(layers)
        channels = (old.channels, *layer_channels)
        self.convs = nn.ModuleList(_StandardizedConv(each, self.num_maps) for each in channels)
        # The bound of a single convolution of all layers.
        bound = sum(channels) ** -0.5
        for weight in self.convs.parameters():
            nn.init.uniform_(weight, -bound, bound)
        self.norm = nn.BatchNorm2d(self.num_maps)

    @classmethod
    def of_network(cls, network: Network, layers: tuple[str, ...]) -> Self:
        """Return the head of a network; default layer: the second to last stage, if it has stages.

        A head of plain training keeps its classifier; instead of any other, there is a new one.
        """
        layers, old = layers or stages_of(network.body)[-2:-1], network.head
        if not isinstance(old, LinearHead):
            old = LinearHead(old.channels, old.num_classes)
        return cls(old, layers, network.channels_at(layers))

    def normalized_maps(self, features: Tensor, tapped: Sequence[Tensor]) -> Tensor:
        """Return the normalized maps of the convolution, ``(N, num_maps, h, w)``.

        The arguments are those of ``foreground``.
        """
        maps = [layer(each) for layer, each in zip(self.convs, (features, *tapped), strict=True)]
        finest = max(maps, key=lambda each: each.shape[2] * each.shape[3]).shape[2:]
        # Interpolation is linear, so it may follow the convolution, which has fewer channels.
        total: Tensor = torch.stack([_enlarged(each, finest) for each in maps]).sum(0)
        normalized: Tensor = self.norm(total)
        return normalized

    def foreground(self, features: Tensor, tapped: Sequence[Tensor]) -> Tensor:
        """Return the foreground map, ``(N, h, w)`` in [0, 1].

        Args:
            features: last features, ``(N, C, h, w)``.
            tapped: outputs of ``layers`` as maps; the result has the finest grid.
        """
        raise NotImplementedError


class _StandardizedConv(nn.Sequential):
    """Batch normalization without weights, and a 1x1 convolution without bias."""

    def __init__(self, channels: int, num_maps: int) -> None:
        super().__init__(
            nn.BatchNorm2d(channels, affine=False), nn.Conv2d(channels, num_maps, 1, bias=False)
        )


def _enlarged(maps: Tensor, size: tuple[int, ...]) -> Tensor:
    if maps.shape[2:] == size:
        return maps
    return interpolate(maps, size, mode="bilinear", align_corners=False)


def unit_variance(features: Tensor) -> Tensor:
    """Return features ``(N, C, h, w)`` with each channel divided by its standard deviation.

    The deviations, over the batch, have no gradient.

    >>> unit_variance(torch.tensor([[[[2.0, 6.0]]]]))
    tensor([[[[1.0000, 3.0000]]]])
    """
    variances = features.detach().var((0, 2, 3), correction=0)
    return features * (variances + EPSILON).rsqrt()[:, None, None]


def pooled(features: Tensor, maps: Tensor) -> Tensor:
    """Return the mean over positions of features times maps ``(N, H, W)``, ``(N, C)``.

    Maps on a finer grid than the features are averaged.

    >>> pooled(torch.tensor([[[[2.0, 6.0]]]]), torch.tensor([[[1.0, 0.5]]]))
    tensor([[2.5000]])
    """
    weights = adaptive_avg_pool2d(maps[:, None], (features.shape[2], features.shape[3]))
    return (features * weights).mean((2, 3))
