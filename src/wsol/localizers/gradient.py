"""Gradient-based localizers: Grad-CAM and its variants."""

import torch
from torch import Tensor

from wsol.localizers.base import ScoreMaps


class GradCAM(ScoreMaps):
    """Grad-CAM: channels weighted by their mean gradient.

    Args:
        model: classifier.
        options: see ``ScoreMaps``.

    Source: Selvaraju et al., Grad-CAM: Visual Explanations from Deep Networks via Gradient-based
    Localization, ICCV 2017, equations 1 and 2.

    >>> from wsol.models import create_network
    >>> network = create_network("test_resnet", num_classes=5, pretrained=False)
    >>> GradCAM(network, layers=["layer3"])(torch.rand(2, 3, 64, 64)).shape
    torch.Size([2, 64, 64])
    """

    needs_gradients = True

    def layer_maps(self, features: Tensor, gradients: Tensor) -> Tensor:
        """Return maps ``(N, h, w)``, non-negative."""
        weights = gradients.mean((2, 3))
        return torch.einsum("nchw,nc->nhw", features, weights).relu()


EPSILON = 1e-6


class GradCAMPlusPlus(ScoreMaps):
    """Grad-CAM++: channels weighted by higher-order gradient terms.

    The second and third derivatives of the exponential of the score are powers of the gradient. The
    additive constant is not in equation 19 but in pytorch-grad-cam: with it, weights depend on the
    scale of gradients whose squares are about as small.

    Args:
        model: classifier.
        options: see ``ScoreMaps``.

    Source: Chattopadhay et al., Grad-CAM++: Generalized Gradient-based Visual Explanations for
    Deep Convolutional Networks, WACV 2018, equations 5 and 19.

    >>> from wsol.models import create_network
    >>> network = create_network("test_resnet", num_classes=5, pretrained=False)
    >>> GradCAMPlusPlus(network)(torch.rand(2, 3, 64, 64)).shape
    torch.Size([2, 64, 64])
    """

    needs_gradients = True

    def layer_maps(self, features: Tensor, gradients: Tensor) -> Tensor:
        """Return maps ``(N, h, w)``, non-negative."""
        sums = features.sum((2, 3), keepdim=True)
        shares = gradients.square() / (
            2 * gradients.square() + sums * gradients.pow(3) + EPSILON
        ).where(gradients != 0, 1)
        weights = (shares * gradients.relu()).sum((2, 3))
        return torch.einsum("nchw,nc->nhw", features, weights).relu()


class HiResCAM(ScoreMaps):
    """HiResCAM: features multiplied by gradients at each position.

    Args:
        model: classifier.
        options: see ``ScoreMaps``.

    Source: Draelos & Carin, Use HiResCAM instead of Grad-CAM for faithful explanations of
    convolutional neural networks, 2020, equation 3; negative values are removed as in Grad-CAM.

    >>> from wsol.models import create_network
    >>> network = create_network("test_resnet", num_classes=5, pretrained=False)
    >>> HiResCAM(network)(torch.rand(2, 3, 64, 64)).shape
    torch.Size([2, 64, 64])
    """

    needs_gradients = True

    def layer_maps(self, features: Tensor, gradients: Tensor) -> Tensor:
        """Return maps ``(N, h, w)``, non-negative."""
        return torch.einsum("nchw,nchw->nhw", features, gradients).relu()


class LayerCAM(ScoreMaps):
    """LayerCAM, suited to shallow layers too; maps of multiple layers are averaged.

    Args:
        model: classifier.
        options: see ``ScoreMaps``.

    Source: Jiang et al., LayerCAM: Exploring Hierarchical Class Activation Maps for Localization,
    TIP 2021, equations 4 to 6. There maps of multiple layers are merged by their maximum after a
    tanh; here, as for all localizers, by the mean of the scaled maps.

    >>> from wsol.models import create_network
    >>> network = create_network("test_resnet", num_classes=5, pretrained=False)
    >>> LayerCAM(network, layers=["layer3", "layer4"])(torch.rand(2, 3, 64, 64)).shape
    torch.Size([2, 64, 64])
    """

    needs_gradients = True

    def layer_maps(self, features: Tensor, gradients: Tensor) -> Tensor:
        """Return maps ``(N, h, w)``, non-negative."""
        return torch.einsum("nchw,nchw->nhw", features, gradients.relu()).relu()


class BagCAM(ScoreMaps):
    """BagCAMs: weighted sum of one regional classifier per position.

    Args:
        model: classifier.
        options: see ``ScoreMaps``.

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

    def layer_maps(self, features: Tensor, gradients: Tensor) -> Tensor:
        """Return maps ``(N, h, w)``, non-negative."""
        products = features * gradients
        weights = (products + 1).mean((2, 3), keepdim=True)
        return (weights * products).relu().sum(1)


LEAST_SUM = 1e-7


class XGradCAM(ScoreMaps):
    """XGrad-CAM: Grad-CAM with weights derived from two axioms.

    Args:
        model: classifier.
        options: see ``ScoreMaps``.

    Source: Fu et al., Axiom-based Grad-CAM: Towards Accurate Visualization and Explanation of CNNs,
    BMVC 2020, equation 8.

    >>> from wsol.models import create_network
    >>> network = create_network("test_resnet", num_classes=5, pretrained=False)
    >>> XGradCAM(network)(torch.rand(2, 3, 64, 64)).shape
    torch.Size([2, 64, 64])
    """

    needs_gradients = True

    def layer_maps(self, features: Tensor, gradients: Tensor) -> Tensor:
        """Return maps ``(N, h, w)``, non-negative."""
        sums = features.sum((2, 3))
        weights = torch.einsum("nchw,nchw->nc", features, gradients) / (sums + LEAST_SUM)
        return torch.einsum("nchw,nc->nhw", features, weights).relu()
