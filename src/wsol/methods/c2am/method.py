"""C2AM as a training method."""

import torch
from torch import Tensor
from torch.nn.functional import normalize

from wsol.methods.base import Method
from wsol.methods.c2am.config import Config
from wsol.methods.c2am.head import C2AMHead
from wsol.models import Network, Output
from wsol.models.foreground import finer_taps, plain_head

SMALLEST = 5e-4
"""Of a similarity and of its distance from 1: a logarithm must stay finite."""


class C2AMMethod(Method):
    """Training of a classifier, and of a map that contrasts foreground with background."""

    def __init__(self, config: Config) -> None:
        """Keep the options."""
        self.config = config

    def head(self, network: Network) -> C2AMHead:
        """Return the classifier with a map for the network's features."""
        taps = self.config.taps or finer_taps(network)
        return C2AMHead(plain_head(network), taps, network.channels_at(taps))

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
    """Return the cosines of rows, ``(N, N)``, kept away from 0 and 1.

    Args:
        first: ``(N, C)``.
        second: ``(N, C)``.

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

    Of an image's pairs the most similar one has rank 0; the weight is exp(-alpha * rank).

    Args:
        features: of one side, ``(N, C)``; of one image the loss is 0.
        alpha: how fast the weight falls.

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
