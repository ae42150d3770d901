"""Grad-CAM: channels weighted by the mean of their gradients."""

import torch
from torch import Tensor

from wsol.localizers.base import ScoreMaps


class GradCAM(ScoreMaps):
    """Grad-CAM.

    Args:
        model: the classifier.
        options: as of ``ScoreMaps``.

    Source: Selvaraju et al., Grad-CAM: Visual Explanations from Deep Networks via Gradient-based
    Localization, ICCV 2017, equations 1 and 2.

    >>> from wsol.models import create_network
    >>> network = create_network("test_resnet", num_classes=5, pretrained=False)
    >>> GradCAM(network, taps=["layer3"])(torch.rand(2, 3, 64, 64)).shape
    torch.Size([2, 64, 64])
    """

    needs_gradients = True

    def tap_maps(self, features: Tensor, gradients: Tensor) -> Tensor:
        """Return maps ``(N, h, w)``, not negative."""
        weights = gradients.mean((2, 3))
        return torch.einsum("nchw,nc->nhw", features, weights).relu()
