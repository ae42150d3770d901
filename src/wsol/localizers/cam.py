"""Class activation mapping: the head's weights on the last feature maps."""

import torch
from torch import Tensor

from wsol.localizers.base import Interpolation, Localized, ScoreMaps, at_input_size
from wsol.models import Network


class CAM(ScoreMaps):
    """Class activation maps of a network, as its head makes them.

    Args:
        model: the network.
        interpolation: how maps are enlarged: ``bicubic`` by default, ``bilinear`` as ADL's
            authors did.

    Source: Zhou et al., Learning Deep Features for Discriminative Localization, CVPR 2016,
    equation 2.

    >>> from wsol.models import create_network
    >>> network = create_network("resnet18", num_classes=5, pretrained=False)
    >>> CAM(network)(torch.rand(2, 3, 64, 64)).shape
    torch.Size([2, 64, 64])
    """

    model: Network

    def __init__(self, model: Network, interpolation: Interpolation = "bicubic") -> None:
        """Keep the network."""
        super().__init__(model)
        self.interpolation = interpolation

    def locate(self, images: Tensor, labels: Tensor | None = None) -> Localized:
        """Return logits, labels and maps from one forward pass in evaluation mode."""
        training = self.model.training
        self.model.eval()
        with torch.inference_mode():
            output = self.model(images)
            logits = output.logits.float()
            if labels is None:
                labels = logits.argmax(1)
            small = self.model.head.output_maps(output, labels)
            maps = at_input_size(small, images, self.interpolation)
        self.model.train(training)
        return Localized(logits, labels, maps)
