"""XGrad-CAM: channels weighted by their gradients where they are active."""

import torch
from torch import Tensor

from wsol.localizers.base import ScoreMaps

EPSILON = 1e-7


class XGradCAM(ScoreMaps):
    """XGrad-CAM, Grad-CAM with the weights that two axioms ask for.

    Args:
        model: the classifier.
        options: as of ``ScoreMaps``.

    Source: Fu et al., Axiom-based Grad-CAM: Towards Accurate Visualization and Explanation of CNNs,
    BMVC 2020, equation 8.

    >>> from wsol.models import create_network
    >>> network = create_network("test_resnet", num_classes=5, pretrained=False)
    >>> XGradCAM(network)(torch.rand(2, 3, 64, 64)).shape
    torch.Size([2, 64, 64])
    """

    needs_gradients = True

    def tap_maps(self, features: Tensor, gradients: Tensor) -> Tensor:
        """Return maps ``(N, h, w)``, not negative."""
        sums = features.sum((2, 3))
        weights = torch.einsum("nchw,nchw->nc", features, gradients) / (sums + EPSILON)
        return torch.einsum("nchw,nc->nhw", features, weights).relu()
