"""Ablation-CAM: channels weighted by what the score loses without them."""

import torch
from torch import Tensor

from wsol.localizers.by_forward import ForwardCAM
from wsol.localizers.grid import find_layout
from wsol.localizers.look import changed_output, find_logits, tapped_part
from wsol.models.layout import Layout
from wsol.models.taps import find_tap


class AblationCAM(ForwardCAM):
    """Ablation-CAM, which needs a forward pass per channel and no gradient.

    Args:
        model: the classifier.
        options: as of ``ForwardCAM``.

    Source: Desai & Ramaswamy, Ablation-CAM: Visual Explanations for Deep Convolutional Network via
    Gradient-free Localization, WACV 2020, equations 5 and 6.

    >>> from wsol.models import create_network
    >>> network = create_network("test_resnet", num_classes=5, pretrained=False)
    >>> AblationCAM(network, channels=8)(torch.rand(1, 3, 64, 64)).shape
    torch.Size([1, 64, 64])
    """

    def scores(
        self, image: Tensor, tap: str, features: Tensor, numbers: Tensor, label: Tensor
    ) -> Tensor:
        """Return the label's logit of the picture without each of the channels."""
        body = tapped_part(self.model)
        images = image.expand(len(numbers), -1, -1, -1)

        def ablate(output: Tensor) -> Tensor:
            layout = find_layout(output, images, body) or Layout()
            return layout.change(output, lambda maps: _without(maps, numbers))

        with changed_output(find_tap(body, tap), ablate):
            return find_logits(self.model(images))[:, label]

    def weights(self, scores: Tensor, before: Tensor) -> Tensor:
        """Return the share of the score that goes with each channel."""
        return (before - scores) / before


def _without(maps: Tensor, numbers: Tensor) -> Tensor:
    kept = torch.ones_like(maps[:, :, :1, :1])
    kept[torch.arange(len(maps), device=maps.device), numbers] = 0
    return maps * kept
