"""TriLite training method and head."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import linear, one_hot, softplus

from wsol.methods.base import Method
from wsol.methods.trilite import Config
from wsol.models import Network
from wsol.models.foreground import ForegroundHead, pooled
from wsol.models.heads import Output

EPSILON = 1e-6
"""Added to a map's sum, which may be zero."""


class TriHead(ForegroundHead):
    """Linear classifier, and maps of foreground, background and ambiguous regions.

    ``Output.branches`` are, in training, the logits of the foreground and of the background.

    Source: Sabaghi & Oramas, CVPR 2026 (arXiv 2602.23120), TriHead.

    >>> from wsol.models import LinearHead
    >>> head = TriHead(LinearHead(8, 3), ["layer1"], [4]).train()
    >>> output = head.output(torch.rand(2, 8, 4, 4), None, (torch.rand(2, 4, 8, 8),))
    >>> [tuple(branch.shape) for branch in output.branches]
    [(2, 3), (2, 3)]
    """

    num_maps = 3

    def regions(self, features: Tensor, tapped: Sequence[Tensor]) -> Tensor:
        """Return the maps of foreground, background and ambiguous regions, ``(N, 3, h, w)``.

        They sum to 1 at each position.
        """
        return self.normalized_maps(features, tapped).softmax(1)

    def foreground(self, features: Tensor, tapped: Sequence[Tensor]) -> Tensor:
        """Return the foreground map, ``(N, h, w)`` in [0, 1]."""
        return self.regions(features, tapped)[:, 0]

    def output(
        self, features: Tensor, labels: Tensor | None = None, tapped: tuple[Tensor, ...] = ()
    ) -> Output:
        """Return logits, features and, in training, the logits of foreground and background."""
        if not self.training:
            return Output(self(features), features)
        foreground, background, _ = self.regions(features, tapped).unbind(1)
        logits = self(features)
        branches = self._logits(features, foreground), self._logits(features, background)
        return Output(logits, features, branches)

    def _logits(self, features: Tensor, maps: Tensor) -> Tensor:
        """Return the logits of the mean of features weighted by maps."""
        mean = pooled(features, maps) / (maps.mean((1, 2))[:, None] + EPSILON)
        # The classifier is trained on all features only, so that it cannot become correct without
        # most of the foreground.
        return linear(mean, self.linear.weight.detach(), self.linear.bias.detach())


class TriLiteMethod(Method):
    """Training of a classifier and of maps that keep the class in the foreground."""

    config: Config

    def head(self, network: Network) -> TriHead:
        """Return the classifier with three maps for the network's features."""
        return TriHead.of_network(network, self.config.layers)

    def loss(self, output: Output, labels: Tensor) -> Tensor:
        """Return the losses of the classifier, of the foreground and of the background.

        Source: Sabaghi & Oramas, CVPR 2026 (arXiv 2602.23120).
        """
        foreground, background = output.branches
        return (
            self.classification_loss(output.logits, labels)
            + self.classification_loss(foreground, labels)
            + self.config.background_weight * self._background_loss(background, labels)
        )

    def _background_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the mean of -log(1 - p), p the probability of the image's classes."""
        logits = logits.float()
        if self.is_multi_label:
            losses = labels * softplus(logits)
        else:
            labels = labels if labels.ndim == 2 else one_hot(labels, logits.shape[1])
            losses = labels * _minus_log_of_others(logits)
        return losses.sum(1).mean()


def _minus_log_of_others(logits: Tensor) -> Tensor:
    """Return for each class -log of the probability of all others, ``(N, classes)``."""
    count = logits.shape[1]
    itself = torch.eye(count, dtype=torch.bool, device=logits.device)
    others = logits[:, None].masked_fill(itself, -torch.inf).logsumexp(2)
    return logits.logsumexp(1, keepdim=True) - others
