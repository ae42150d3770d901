"""EigenCAM: the first principal component of one picture's features."""

import torch
from torch import Tensor

from wsol.localizers.base import ScoreMaps
from wsol.localizers.components import first_component, signed_like
from wsol.localizers.stages import last_stage


class EigenCAM(ScoreMaps):
    """EigenCAM.

    The sign of a principal component is open; here it is the one that is larger where the features
    are stronger.

    Args:
        model: the classifier.
        options: as of ``ScoreMaps``.

    Source: Muhammad & Yeasin, Eigen-CAM: Class Activation Map using Principal Components, IJCNN
    2020, equations 3 to 5; as elsewhere, the features are centred first.

    >>> from wsol.models import create_network
    >>> network = create_network("test_resnet", num_classes=5, pretrained=False)
    >>> EigenCAM(network)(torch.rand(2, 3, 64, 64)).shape
    torch.Size([2, 64, 64])
    """

    sees_classes = False
    needs_classes = False

    def default_taps(self) -> tuple[str, ...]:
        """Return the last stage: what is wanted is no class's own."""
        return (last_stage(self.model, self.size),)

    def why_no_graph(self) -> str:
        """Return that graphs know no eigenvectors."""
        return "needs eigenvectors of each picture's features"

    def tap_maps(self, features: Tensor, gradients: Tensor) -> Tensor:
        """Return maps ``(N, h, w)`` of projections, not negative."""
        first = first_component(features.flatten(2).mT)
        centred = features - features.mean((2, 3), keepdim=True)
        maps = torch.einsum("nchw,nc->nhw", centred, first)
        return signed_like(maps, features.norm(dim=1)).relu()
