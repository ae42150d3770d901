"""Heads with a foreground map, and pooling by foreground and background."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, interpolate

from wsol.models.heads import LinearHead
from wsol.models.network import Network

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
        num_maps: number of maps of the convolution.
    """

    def __init__(
        self, old: LinearHead, layers: Sequence[str], layer_channels: Sequence[int], num_maps: int
    ) -> None:
        """Store the classifier and initialize the convolution."""
        super().__init__(old.channels, old.num_classes)
        self.linear, self.layers = old.linear, tuple(layers)
        channels = (old.channels, *layer_channels)
        self.convs = nn.ModuleList(_StandardizedConv(each, num_maps) for each in channels)
        # The bound of a single convolution of all layers.
        bound = sum(channels) ** -0.5
        for weight in self.convs.parameters():
            nn.init.uniform_(weight, -bound, bound)
        self.norm = nn.BatchNorm2d(num_maps)

    def normalized_maps(self, features: Tensor, tapped: Sequence[Tensor]) -> Tensor:
        """Return the normalized maps of the convolution, ``(N, num_maps, h, w)``.

        Args:
            features: last features, ``(N, C, h, w)``.
            tapped: outputs of ``layers`` as maps; the result has the finest grid.
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
            tapped: outputs of ``layers`` as maps.
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
    """Return features with each channel divided by its standard deviation over the batch.

    The deviations have no gradient.

    Args:
        features: ``(N, C, h, w)``.

    >>> unit_variance(torch.tensor([[[[2.0, 6.0]]]]))
    tensor([[[[1.0000, 3.0000]]]])
    """
    variances = features.detach().var((0, 2, 3), correction=0)
    return features * (variances + EPSILON).rsqrt()[:, None, None]


def pooled(features: Tensor, maps: Tensor) -> Tensor:
    """Return the sum of features weighted by maps, divided by the number of positions, ``(N, C)``.

    Args:
        features: ``(N, C, h, w)``.
        maps: ``(N, H, W)``, on the same or a finer grid, which is averaged.

    >>> pooled(torch.tensor([[[[2.0, 6.0]]]]), torch.tensor([[[1.0, 0.5]]]))
    tensor([[2.5000]])
    """
    weights = adaptive_avg_pool2d(maps[:, None], (features.shape[2], features.shape[3]))
    return (features * weights).mean((2, 3))


def plain_head(network: Network) -> LinearHead:
    """Return the linear head of a network, or a new one if its head has another type.

    >>> from wsol.models import create_network
    >>> network = create_network("test_resnet", num_classes=5, pretrained=False)
    >>> plain_head(network) is network.head
    True
    """
    old = network.head
    return old if isinstance(old, LinearHead) else LinearHead(old.channels, old.num_classes)


def finer_layers(network: Network) -> tuple[str, ...]:
    """Return the second to last stage of a timm network; empty for other networks.

    >>> from wsol.models import create_network
    >>> finer_layers(create_network("test_resnet", num_classes=5, pretrained=False))
    ('layer3',)
    """
    info = getattr(network.body, "feature_info", None) or ()
    return tuple(stage["module"] for stage in info)[-2:-1]
