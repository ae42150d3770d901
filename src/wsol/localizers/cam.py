"""Class activation mapping: the classifier's weights on the last feature maps."""

from typing import Any

import torch
from torch import Tensor, nn

from wsol.localizers._forward import Look
from wsol.localizers.base import ScoreMaps
from wsol.models import Network


class CAM(ScoreMaps):
    """Class activation maps: as a network's head makes them, or the same for any classifier.

    Where the logits are a linear function of the features' mean, its weights are the gradients of
    the logit times the number of pixels. Any other classifier has no such weights; there the
    gradients, at each place its own, stand for them, as in HiResCAM.

    Args:
        model: the classifier.
        options: as of ``ScoreMaps``.

    Source: Zhou et al., Learning Deep Features for Discriminative Localization, CVPR 2016,
    equation 2; for other classifiers Draelos & Carin, Use HiResCAM instead of Grad-CAM, 2020,
    section 3.2.

    >>> from wsol.models import create_network
    >>> network = create_network("resnet18", num_classes=5, pretrained=False)
    >>> CAM(network)(torch.rand(2, 3, 64, 64)).shape
    torch.Size([2, 64, 64])
    """

    def __init__(self, model: nn.Module, *arguments: Any, **options: Any) -> None:
        """Find out whether the classifier has a head that makes maps."""
        super().__init__(model, *arguments, **options)
        self.needs_gradients = bool(self.taps)

    def default_taps(self) -> tuple[str, ...]:
        """Return no taps for a network, whose head knows its features."""
        return () if isinstance(self.model, Network) else super().default_taps()

    def score_maps(self, look: Look, labels: Tensor) -> list[Tensor]:
        """Return the head's maps, or those of each tap."""
        if isinstance(self.model, Network) and not self.taps:
            features, branches = look.output.features, look.output.branches
            output = look.output._replace(
                features=features.float(), branches=tuple(branch.float() for branch in branches)
            )
            return [self.model.head.output_maps(output, labels)]
        return super().score_maps(look, labels)

    def tap_maps(self, features: Tensor, gradients: Tensor) -> Tensor:
        """Return the features weighted by weights or gradients, ``(N, h, w)``."""
        pixels = features.shape[2] * features.shape[3]
        return torch.einsum("nchw,nchw->nhw", features, gradients) * pixels
