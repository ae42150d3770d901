"""The learnt head that says of each place whether it belongs to an object."""

from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from wsol.localizers.distilled import Head

WIDTH = 64
"""Channels between a head's two convolutions."""


class PixelHead(Head):
    """From features to one logit for each place.

    It looks at one place at a time: what belongs to objects all over the collection is learnt, and
    the shape of a coarse mask is not.

    Args:
        channels: of the features.
        width: channels inside.

    Source: Siméoni et al., Unsupervised Object Localization: Observing the Background to Discover
    Objects (FOUND), CVPR 2023, section 3; there it is a single 1x1 convolution.

    >>> import torch
    >>> PixelHead(channels=8)(torch.rand(2, 8, 7, 7)).shape
    torch.Size([2, 7, 7])
    """

    def __init__(self, channels: int, width: int = WIDTH) -> None:
        """Start at random."""
        super().__init__(channels, width)
        self.say = nn.Conv2d(width, 1, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Return logits ``(N, h, w)``, above 0 for an object.

        Args:
            features: float32 ``(N, C, h, w)``.
        """
        said: Tensor = self.say(self.mixed(features).relu())
        return said[:, 0]

    def loss(self, features: Tensor, targets: Tensor) -> Tensor:
        """Return how far the head is from labels of places, see ``pixel_loss``.

        Args:
            features: float32 ``(N, C, h, w)``.
            targets: int8 ``(N, h, w)``, 1 object, 0 background, -1 unsure.
        """
        return pixel_loss(self(features), targets)


def pixel_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the mean binary cross-entropy of the places that count.

    Args:
        logits: float32 ``(N, h, w)``.
        targets: int8 ``(N, h, w)``, 1 object, 0 background, -1 does not count; one at least does.

    >>> import torch
    >>> logits, targets = torch.tensor([[[0.0, 9.0]]]), torch.tensor([[[1, -1]]])
    >>> round(float(pixel_loss(logits, targets)), 4)
    0.6931
    """
    counts = targets >= 0
    return binary_cross_entropy_with_logits(logits[counts], targets[counts].float())
