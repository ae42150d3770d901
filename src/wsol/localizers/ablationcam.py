"""Ablation-CAM: channels weighted by what the score loses without them."""

import torch
from torch import Tensor

from wsol.localizers._forward import changed_output, find_logits, tapped_part
from wsol.localizers._layout import find_layout
from wsol.localizers.perturbation import ForwardCAM
from wsol.models.layout import Layout
from wsol.models.modes import forward
from wsol.models.taps import find_output


class AblationCAM(ForwardCAM):
    """Ablation-CAM, which needs a forward pass per channel and no gradient.

    Equation 5 divides what the score loses by the score. Once a map is scaled to [0, 1] that
    changes nothing but the sign, where the score is below zero, so it is left out.

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
        """Return what the label's logit loses without each of the channels."""
        body = tapped_part(self.model)
        # The whole picture as well: the pass that was looked at may have been less precise.
        images = image.expand(1 + len(numbers), -1, -1, -1)

        def ablate(output: Tensor) -> Tensor:
            layout = find_layout(output, images, body) or Layout()
            return layout.change(output, lambda maps: _without(maps, numbers))

        with changed_output(find_output(body, tap), ablate):
            logits = find_logits(forward(self.model, images), self.model)[:, label].float()
        return logits[0] - logits[1:]


def _without(maps: Tensor, numbers: Tensor) -> Tensor:
    """Return maps whose first is whole, and each other without one of the channels."""
    kept = torch.ones_like(maps[:, :, :1, :1])
    kept[torch.arange(1, len(maps), device=maps.device), numbers] = 0
    return maps * kept
