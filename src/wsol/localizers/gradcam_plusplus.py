"""Grad-CAM++: each place's gradient counts by how much it alone explains the score."""

import torch
from torch import Tensor

from wsol.localizers.base import ScoreMaps

EPSILON = 1e-6


class GradCAMPlusPlus(ScoreMaps):
    """Grad-CAM++.

    The second and third derivatives of the exponential of the score are the powers of the gradient.
    The constant beside them is not of equation 19, but pytorch-grad-cam's: with it, weights depend
    on the scale of gradients where their squares are about as small.

    Args:
        model: the classifier.
        options: as of ``ScoreMaps``.

    Source: Chattopadhay et al., Grad-CAM++: Generalized Gradient-based Visual Explanations for
    Deep Convolutional Networks, WACV 2018, equations 5 and 19.

    >>> from wsol.models import create_network
    >>> network = create_network("test_resnet", num_classes=5, pretrained=False)
    >>> GradCAMPlusPlus(network)(torch.rand(2, 3, 64, 64)).shape
    torch.Size([2, 64, 64])
    """

    needs_gradients = True

    def tap_maps(self, features: Tensor, gradients: Tensor) -> Tensor:
        """Return maps ``(N, h, w)``, not negative."""
        sums = features.sum((2, 3), keepdim=True)
        shares = gradients.square() / (
            2 * gradients.square() + sums * gradients.pow(3) + EPSILON
        ).where(gradients != 0, 1)
        weights = (shares * gradients.relu()).sum((2, 3))
        return torch.einsum("nchw,nc->nhw", features, weights).relu()
