"""HiResCAM: features times gradients, place by place."""

import torch
from torch import Tensor

from wsol.localizers.base import ScoreMaps


class HiResCAM(ScoreMaps):
    """HiResCAM, which shows only what the model has used.

    Args:
        model: the classifier.
        options: as of ``ScoreMaps``.

    Source: Draelos & Carin, Use HiResCAM instead of Grad-CAM for faithful explanations of
    convolutional neural networks, 2020, equation 3; negative values are left out as in Grad-CAM.

    >>> from wsol.models import create_network
    >>> network = create_network("test_resnet", num_classes=5, pretrained=False)
    >>> HiResCAM(network)(torch.rand(2, 3, 64, 64)).shape
    torch.Size([2, 64, 64])
    """

    needs_gradients = True

    def tap_maps(self, features: Tensor, gradients: Tensor) -> Tensor:
        """Return maps ``(N, h, w)``, not negative."""
        return torch.einsum("nchw,nchw->nhw", features, gradients).relu()
