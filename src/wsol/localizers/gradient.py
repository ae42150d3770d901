"""Gradient-based localizers: Grad-CAM and its variants."""

import torch
from torch import Tensor

from wsol.localizers.base import ScoreMaps

LEAST_SUM = 1e-7
"""Added to the sums of features that XGrad-CAM divides by."""

EPSILON = 1e-6
"""Added to the derivatives that Grad-CAM++ divides by."""


class GradientMaps(ScoreMaps):
    """Base class of localizers that weigh features by gradients of the label's logit."""

    needs_gradients = True

    def weights(self, features: Tensor, gradients: Tensor) -> Tensor:
        """Return the weights of channels ``(N, C)``, or of all features ``(N, C, h, w)``."""
        raise NotImplementedError

    def layer_maps(self, features: Tensor, gradients: Tensor) -> Tensor:
        """Return maps ``(N, h, w)``, non-negative."""
        weights = self.weights(features, gradients)
        terms = "nchw,nc->nhw" if weights.ndim == 2 else "nchw,nchw->nhw"
        return torch.einsum(terms, features, weights).relu()


class GradCAM(GradientMaps):
    """Grad-CAM: channels weighted by their mean gradient.

    Source: Selvaraju et al., Grad-CAM: Visual Explanations from Deep Networks via Gradient-based
    Localization, ICCV 2017, equations 1 and 2.

    >>> from wsol.models import create_network
    >>> network = create_network("test_resnet", num_classes=5, pretrained=False)
    >>> GradCAM(network, layers=["layer3"])(torch.rand(2, 3, 64, 64)).shape
    torch.Size([2, 64, 64])
    """

    def weights(self, features: Tensor, gradients: Tensor) -> Tensor:
        """Return the mean gradients ``(N, C)``."""
        return gradients.mean((2, 3))


class GradCAMPlusPlus(GradientMaps):
    """Grad-CAM++: channels weighted by higher-order gradient terms.

    The second and third derivatives of the exponential of the score are powers of the gradient. The
    additive constant is not in equation 19 but in pytorch-grad-cam: with it, weights depend on the
    scale of gradients whose squares are about as small.

    Source: Chattopadhay et al., Grad-CAM++: Generalized Gradient-based Visual Explanations for
    Deep Convolutional Networks, WACV 2018, equations 5 and 19.

    >>> from wsol.models import create_network
    >>> network = create_network("test_resnet", num_classes=5, pretrained=False)
    >>> GradCAMPlusPlus(network)(torch.rand(2, 3, 64, 64)).shape
    torch.Size([2, 64, 64])
    """

    def weights(self, features: Tensor, gradients: Tensor) -> Tensor:
        """Return the weights ``(N, C)`` of equation 5."""
        sums = features.sum((2, 3), keepdim=True)
        shares = gradients.square() / (
            2 * gradients.square() + sums * gradients.pow(3) + EPSILON
        ).where(gradients != 0, 1)
        return (shares * gradients.relu()).sum((2, 3))


class HiResCAM(GradientMaps):
    """HiResCAM: features multiplied by gradients at each position.

    Source: Draelos & Carin, Use HiResCAM instead of Grad-CAM for faithful explanations of
    convolutional neural networks, 2020, equation 3; negative values are removed as in Grad-CAM.

    >>> from wsol.models import create_network
    >>> network = create_network("test_resnet", num_classes=5, pretrained=False)
    >>> HiResCAM(network)(torch.rand(2, 3, 64, 64)).shape
    torch.Size([2, 64, 64])
    """

    def weights(self, features: Tensor, gradients: Tensor) -> Tensor:
        """Return the gradients ``(N, C, h, w)``."""
        return gradients


class LayerCAM(GradientMaps):
    """LayerCAM, suited to shallow layers too; maps of multiple layers are averaged.

    Source: Jiang et al., LayerCAM: Exploring Hierarchical Class Activation Maps for Localization,
    TIP 2021, equations 4 to 6. There maps of multiple layers are merged by their maximum after a
    tanh; here, as for all localizers, by the mean of the scaled maps.

    >>> from wsol.models import create_network
    >>> network = create_network("test_resnet", num_classes=5, pretrained=False)
    >>> LayerCAM(network, layers=["layer3", "layer4"])(torch.rand(2, 3, 64, 64)).shape
    torch.Size([2, 64, 64])
    """

    def weights(self, features: Tensor, gradients: Tensor) -> Tensor:
        """Return the positive gradients ``(N, C, h, w)``."""
        return gradients.relu()


class BagCAM(GradientMaps):
    """BagCAMs: weighted sum of one regional classifier per position.

    Source: Zhu et al., Bagging Regional Classification Activation Maps for Weakly Supervised Object
    Localization, ECCV 2022, equations 8 to 10: per channel, the mean of one plus features times
    gradients over all places weighs features times gradients of each place.

    >>> from wsol.models import create_network
    >>> network = create_network("test_resnet", num_classes=5, pretrained=False)
    >>> BagCAM(network)(torch.rand(2, 3, 64, 64)).shape
    torch.Size([2, 64, 64])
    """

    def layer_maps(self, features: Tensor, gradients: Tensor) -> Tensor:
        """Return maps ``(N, h, w)``, non-negative."""
        products = features * gradients
        weights = (products + 1).mean((2, 3), keepdim=True)
        return (weights * products).relu().sum(1)


class XGradCAM(GradientMaps):
    """XGrad-CAM: Grad-CAM with weights derived from two axioms.

    Source: Fu et al., Axiom-based Grad-CAM: Towards Accurate Visualization and Explanation of CNNs,
    BMVC 2020, equation 8.

    >>> from wsol.models import create_network
    >>> network = create_network("test_resnet", num_classes=5, pretrained=False)
    >>> XGradCAM(network)(torch.rand(2, 3, 64, 64)).shape
    torch.Size([2, 64, 64])
    """

    def weights(self, features: Tensor, gradients: Tensor) -> Tensor:
        """Return the mean gradients ``(N, C)``, weighted by the features."""
        sums = features.sum((2, 3))
        return torch.einsum("nchw,nchw->nc", features, gradients) / (sums + LEAST_SUM)
