"""Score-CAM: channels weighted by the scores of the picture seen through them."""

from torch import Tensor
from torch.nn.functional import interpolate

from wsol.localizers._forward import find_logits
from wsol.localizers.perturbation import ForwardCAM
from wsol.models.modes import forward

EPSILON = 1e-8


class ScoreCAM(ForwardCAM):
    """Score-CAM, which needs a forward pass per channel and no gradient.

    Args:
        model: the classifier.
        options: as of ``ForwardCAM``.

    Source: Wang et al., Score-CAM: Score-Weighted Visual Explanations for Convolutional Neural
    Networks, CVPR Workshops 2020, algorithm 1.

    >>> import torch
    >>> from wsol.models import create_network
    >>> network = create_network("test_resnet", num_classes=5, pretrained=False)
    >>> ScoreCAM(network, channels=8)(torch.rand(1, 3, 64, 64)).shape
    torch.Size([1, 64, 64])
    """

    def scores(
        self, image: Tensor, tap: str, features: Tensor, numbers: Tensor, label: Tensor
    ) -> Tensor:
        """Return the label's logit of the picture under each channel as a mask."""
        size, channels = image.shape[-2:], features[numbers, None]
        masks = interpolate(channels, size, mode="bilinear", align_corners=True)
        least = masks.amin((2, 3), keepdim=True)
        masks = (masks - least) / (masks.amax((2, 3), keepdim=True) - least + EPSILON)
        output = forward(self.model, image * masks.to(image))
        return find_logits(output, self.model)[:, label].float()

    def weights(self, scores: Tensor) -> Tensor:
        """Return the softmax of the scores over channels."""
        return scores.softmax(0)
