"""How strong the features are, whatever the class."""

from torch import Tensor
from torch.linalg import vector_norm

from wsol.localizers.base import ScoreMaps
from wsol.localizers.stages import last_stage


class FeatureNorm(ScoreMaps):
    """The length of the feature vector at each place.

    Args:
        model: the classifier.
        options: as of ``ScoreMaps``.

    Source: as the channels' sum in Wei et al., Selective Convolutional Descriptor Aggregation for
    Fine-Grained Image Retrieval, TIP 2017, section 3.2; here the root of the sum of squares, which
    needs no features above zero.

    >>> import torch
    >>> from wsol.models import create_network
    >>> network = create_network("test_resnet", num_classes=5, pretrained=False)
    >>> FeatureNorm(network)(torch.rand(2, 3, 64, 64)).shape
    torch.Size([2, 64, 64])
    """

    sees_classes = False
    needs_classes = False

    def default_taps(self) -> tuple[str, ...]:
        """Return the last stage: what is wanted is no class's own."""
        return (last_stage(self.model, self.size),)

    def tap_maps(self, features: Tensor, gradients: Tensor) -> Tensor:
        """Return maps ``(N, h, w)``, not negative."""
        lengths: Tensor = vector_norm(features, dim=1)
        return lengths
