"""C2AM training method and head."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, normalize

from wsol.methods.base import Method
from wsol.methods.c2am import Config
from wsol.models import Network
from wsol.models.foreground import ForegroundHead, pooled, unit_variance
from wsol.models.heads import LinearHead, Output, scaled_maps

MOMENTUM = 0.1
"""Weight of a step's images in the running mean of the evidence, as in batch normalization."""


class C2AMHead(ForegroundHead):
    """Linear classifier, and one map that separates foreground from background.

    ``Output.branches`` are, in training, the features of both sides, ``(N, C + ...)`` each.

    Attributes:
        evidence: running mean of the difference between the classifier's maps on the side where the
            map is 1 and on the other side; the foreground is the first side if it is positive.

    Source: Xie et al., CVPR 2022, section 3.1, equations 1 and 2.

    >>> head = C2AMHead(LinearHead(8, 3), ["layer1"], [4]).train()
    >>> output = head.output(torch.rand(2, 8, 4, 4), None, (torch.rand(2, 4, 8, 8),))
    >>> [tuple(branch.shape) for branch in output.branches]
    [(2, 12), (2, 12)]
    """

    num_maps = 1
    evidence: Tensor

    def __init__(
        self, old: LinearHead, layers: Sequence[str], layer_channels: Sequence[int]
    ) -> None:
        """Store the classifier and initialize the convolution."""
        super().__init__(old, layers, layer_channels)
        self.register_buffer("evidence", torch.zeros(()))

    def activation(self, features: Tensor, tapped: Sequence[Tensor]) -> Tensor:
        """Return the map P, ``(N, h, w)`` in [0, 1], of which either side may be the foreground."""
        return self.normalized_maps(features, tapped)[:, 0].sigmoid()

    def foreground(self, features: Tensor, tapped: Sequence[Tensor]) -> Tensor:
        """Return the foreground map, ``(N, h, w)`` in [0, 1]."""
        activation = self.activation(features, tapped)
        return torch.where(self.evidence < 0, 1 - activation, activation)

    def output(
        self, features: Tensor, labels: Tensor | None = None, tapped: tuple[Tensor, ...] = ()
    ) -> Output:
        """Return logits, features and, in training, the features of both sides of the map."""
        logits = self(features)
        if not self.training:
            return Output(logits, features)
        activation = self.activation(features, tapped)
        self._update_evidence(features, activation, logits.argmax(1) if labels is None else labels)
        layers = [unit_variance(layer.float()) for layer in (features, *tapped)]
        sides = (
            torch.cat([pooled(layer, side) for layer in layers], 1)
            for side in (activation, 1 - activation)
        )
        return Output(logits, features, tuple(sides))

    def _update_evidence(self, features: Tensor, activation: Tensor, labels: Tensor) -> None:
        with torch.no_grad():
            maps = scaled_maps(self.score_maps(features, labels).float())
            places = adaptive_avg_pool2d(activation.float(), (maps.shape[1], maps.shape[2]))
            around = places - places.mean((1, 2), keepdim=True)
            self.evidence.lerp_((maps * around).mean(), MOMENTUM)


SMALLEST = 5e-4
"""Minimum of a similarity and of its distance from 1, which keeps logarithms finite."""


class C2AMMethod(Method):
    """Training of a classifier, and of a map that contrasts foreground with background."""

    config: Config

    def head(self, network: Network) -> C2AMHead:
        """Return the classifier with a map for the network's features."""
        return C2AMHead.of_network(network, self.config.layers)

    def loss(self, output: Output, labels: Tensor) -> Tensor:
        """Return the classification loss plus the contrast of both sides of the map.

        Source: Xie et al., CVPR 2022, equation 9.
        """
        foreground, background = (branch.float() for branch in output.branches)
        return (
            self.classification_loss(output.logits, labels)
            + positive_loss(foreground, self.config.alpha)
            + positive_loss(background, self.config.alpha)
            + negative_loss(foreground, background)
        )


def similarities(first: Tensor, second: Tensor) -> Tensor:
    """Return the cosines between rows of ``(N, C)`` each, clamped away from 0 and 1: ``(N, N)``.

    Source: Xie et al., CVPR 2022, equations 3 and 5.
    """
    cosines = normalize(first, dim=1) @ normalize(second, dim=1).T
    return cosines.clamp(SMALLEST, 1 - SMALLEST)


def negative_loss(foreground: Tensor, background: Tensor) -> Tensor:
    """Return the mean of -log(1 - similarity) over all pairs of foreground and background.

    Args:
        foreground: features ``(N, C)``.
        background: features ``(N, C)``.

    Source: Xie et al., CVPR 2022, equation 4.

    >>> sides = torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 3**0.5]])
    >>> round(negative_loss(*sides).exp().item(), 4)
    2.0
    """
    return -(1 - similarities(foreground, background)).log().mean()


def positive_loss(features: Tensor, alpha: float) -> Tensor:
    """Return the weighted mean of -log(similarity) over all pairs of images.

    The most similar pair of an image has rank 0; the weight is exp(-alpha * rank).

    Args:
        features: features of one side, ``(N, C)``; for a single image the loss is 0.
        alpha: decay of the weight.

    Source: Xie et al., CVPR 2022, equations 6 to 8.

    >>> pair = torch.tensor([[1.0, 0.0], [1.0, 3**0.5]])
    >>> round(positive_loss(pair, alpha=0.25).exp().item(), 4)
    2.0
    """
    count = len(features)
    if count < 2:
        return features.sum() * 0
    itself = torch.eye(count, dtype=torch.bool, device=features.device)
    found = similarities(features, features)
    pairs = found[~itself].view(count, count - 1)
    ranks = pairs.detach().argsort(1, descending=True).argsort(1)
    return -((-alpha * ranks).exp() * pairs.log()).mean()
