"""LayerCAM: each place of each channel weighted by its own positive gradient."""

import torch
from torch import Tensor

from wsol.localizers.base import ScoreMaps


class LayerCAM(ScoreMaps):
    """LayerCAM, which is meant for shallow layers too; several taps are fused.

    Args:
        model: the classifier.
        options: as of ``ScoreMaps``.

    Source: Jiang et al., LayerCAM: Exploring Hierarchical Class Activation Maps for Localization,
    TIP 2021, equations 4 to 6. There maps of several layers are fused by their maximum after a
    tanh; here, as for all localizers, by the mean of the scaled maps.

    >>> from wsol.models import create_network
    >>> network = create_network("test_resnet", num_classes=5, pretrained=False)
    >>> LayerCAM(network, taps=["layer3", "layer4"])(torch.rand(2, 3, 64, 64)).shape
    torch.Size([2, 64, 64])
    """

    needs_gradients = True

    def tap_maps(self, features: Tensor, gradients: Tensor) -> Tensor:
        """Return maps ``(N, h, w)``, not negative."""
        return torch.einsum("nchw,nchw->nhw", features, gradients.relu()).relu()
