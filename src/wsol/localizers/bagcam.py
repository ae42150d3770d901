"""BagCAMs: the gradients of every place as classifiers of all places."""

from torch import Tensor

from wsol.localizers.base import ScoreMaps


class BagCAM(ScoreMaps):
    """BagCAMs: one classifier per place, each weighted, all put together.

    Args:
        model: the classifier.
        options: as of ``ScoreMaps``.

    Source: Zhu et al., Bagging Regional Classification Activation Maps for Weakly Supervised Object
    Localization, ECCV 2022, equations 8 to 10: per channel, the mean of one plus features times
    gradients over all places weighs features times gradients of each place.

    >>> import torch
    >>> from wsol.models import create_network
    >>> network = create_network("test_resnet", num_classes=5, pretrained=False)
    >>> BagCAM(network)(torch.rand(2, 3, 64, 64)).shape
    torch.Size([2, 64, 64])
    """

    needs_gradients = True

    def tap_maps(self, features: Tensor, gradients: Tensor) -> Tensor:
        """Return maps ``(N, h, w)``, not negative."""
        products = features * gradients
        weights = (products + 1).mean((2, 3), keepdim=True)
        return (weights * products).relu().sum(1)
