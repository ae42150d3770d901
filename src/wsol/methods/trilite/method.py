"""TriLite as a training method."""

import torch
from torch import Tensor
from torch.nn.functional import one_hot, softplus

from wsol.methods.base import Method
from wsol.methods.trilite.config import Config
from wsol.methods.trilite.head import TriHead
from wsol.models import Network, Output
from wsol.models.foreground import finer_taps, plain_head


class TriLiteMethod(Method):
    """Training of a classifier and of maps that keep the class in the foreground."""

    def __init__(self, config: Config) -> None:
        """Keep the options."""
        self.config = config

    def head(self, network: Network) -> TriHead:
        """Return the classifier with three maps for the network's features."""
        taps = self.config.taps or finer_taps(network)
        return TriHead(plain_head(network), taps, network.channels_at(taps))

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
        """Return the mean of -log(1 - p), p the probability of the image's classes.

        Args:
            logits: of the background, ``(N, classes)``.
            labels: ``(N,)``, or ``(N, classes)`` where images have several.
        """
        logits = logits.float()
        if self.several_labels:
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
