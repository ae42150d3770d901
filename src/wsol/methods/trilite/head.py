"""The three-map head of TriLite."""

from collections.abc import Sequence

from torch import Tensor
from torch.nn.functional import linear

from wsol.models.foreground import ForegroundHead, pooled
from wsol.models.heads import LinearHead, Output

EPSILON = 1e-6
"""Added to a map's sum, which may be zero."""


class TriHead(ForegroundHead):
    """The linear classifier, and maps of foreground, background and ambiguous places.

    ``Output.branches`` are, in training, the logits of the foreground and of the background.

    Args:
        old: the head of plain training, whose classifier is kept.
        taps: modules of the body whose outputs are read beside the last features.
        tapped_channels: of these outputs.

    Source: Sabaghi & Oramas, CVPR 2026 (arXiv 2602.23120), TriHead.

    >>> import torch
    >>> head = TriHead(LinearHead(8, 3), ["layer1"], [4]).train()
    >>> output = head.output(torch.rand(2, 8, 4, 4), None, (torch.rand(2, 4, 8, 8),))
    >>> [tuple(branch.shape) for branch in output.branches]
    [(2, 3), (2, 3)]
    """

    def __init__(
        self, old: LinearHead, taps: Sequence[str], tapped_channels: Sequence[int]
    ) -> None:
        """Keep the classifier and draw the convolution."""
        super().__init__(old, taps, tapped_channels, num_maps=3)

    def regions(self, features: Tensor, tapped: Sequence[Tensor]) -> Tensor:
        """Return the maps of foreground, background and ambiguous places, ``(N, 3, h, w)``.

        At each place they sum to 1. Arguments are those of ``foreground``.
        """
        return self.normalized_maps(features, tapped).softmax(1)

    def foreground(self, features: Tensor, tapped: Sequence[Tensor]) -> Tensor:
        """Return the foreground map, ``(N, h, w)`` in [0, 1].

        Args:
            features: the last ones, ``(N, C, h, w)``.
            tapped: outputs of ``taps``, as maps.
        """
        return self.regions(features, tapped)[:, 0]

    def output(
        self, features: Tensor, labels: Tensor | None = None, tapped: tuple[Tensor, ...] = ()
    ) -> Output:
        """Return logits, features and, in training, the logits of foreground and background."""
        if not self.training:
            return Output(self(features), features)
        foreground, background, _ = self.regions(features, tapped).unbind(1)
        return Output(
            self(features),
            features,
            (self._logits(features, foreground), self._logits(features, background)),
        )

    def _logits(self, features: Tensor, maps: Tensor) -> Tensor:
        """Return the logits of the mean of features weighted by maps."""
        mean = pooled(features, maps) / (maps.mean((1, 2))[:, None] + EPSILON)
        # The classifier learns from all features alone, so that it cannot learn to be right without
        # most of the foreground.
        return linear(mean, self.linear.weight.detach(), self.linear.bias.detach())
