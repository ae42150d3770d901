"""Localizers with one forward pass per channel: Score-CAM and Ablation-CAM.

Their options are those of ``ForwardCAM``.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from wsol.localizers._forward import ForwardPass, changed_output, find_logits, layer_root
from wsol.localizers.base import ScoreMaps
from wsol.models.layout import Layout, find_layout
from wsol.models.utils import evaluating, find_output, forward


class ForwardCAM(ScoreMaps):
    """Base class of localizers whose channel weights come from forward passes, not gradients.

    Args:
        model: classifier.
        arguments: see ``ScoreMaps``.
        batch_size: channels per forward pass.
        channels: number of channels to evaluate, those with the largest variance over the image;
            default: all, as published.
        options: see ``ScoreMaps``.
    """

    unexportable = "needs a forward pass for each channel"

    def __init__(
        self,
        model: nn.Module,
        *arguments: Any,
        batch_size: int = 32,
        channels: int | None = None,
        **options: Any,
    ) -> None:
        """Store the classifier."""
        super().__init__(model, *arguments, **options)
        self.batch_size, self.channels = batch_size, channels

    def score_maps(self, forward_pass: ForwardPass, labels: Tensor) -> list[Tensor]:
        """Return the maps ``(N, h, w)`` of each layer, non-negative."""
        with evaluating(self.model):
            return [self._layer_maps(forward_pass, labels, layer) for layer in self.layers]

    def _layer_maps(self, forward_pass: ForwardPass, labels: Tensor, layer: str) -> Tensor:
        features = forward_pass.features[layer]
        maps = []
        for image, own, label in zip(forward_pass.images, features, labels, strict=True):
            numbers = own.flatten(1).var(1).argsort(descending=True)[: self.channels]
            scores = [
                self.scores(image, layer, own, some, label)
                for some in numbers.split(self.batch_size)
            ]
            weights = self.weights(torch.cat(scores))
            maps.append(torch.einsum("chw,c->hw", own[numbers], weights).relu())
        return torch.stack(maps)

    def scores(
        self, image: Tensor, layer: str, features: Tensor, numbers: Tensor, label: Tensor
    ) -> Tensor:
        """Return the scores ``(K,)`` of the channels with some numbers.

        They belong to the features ``(C, h, w)`` of one image ``(3, H, W)``.
        """
        raise NotImplementedError

    def weights(self, scores: Tensor) -> Tensor:
        """Return the weights ``(K,)`` of channels from their scores."""
        return scores


EPSILON = 1e-8


class ScoreCAM(ForwardCAM):
    """Score-CAM: channels weighted by the class score of the image masked with each channel.

    Source: Wang et al., Score-CAM: Score-Weighted Visual Explanations for Convolutional Neural
    Networks, CVPR Workshops 2020, algorithm 1.

    >>> from wsol.models import create_network
    >>> network = create_network("test_resnet", num_classes=5, pretrained=False)
    >>> ScoreCAM(network, channels=8)(torch.rand(1, 3, 64, 64)).shape
    torch.Size([1, 64, 64])
    """

    def scores(
        self, image: Tensor, layer: str, features: Tensor, numbers: Tensor, label: Tensor
    ) -> Tensor:
        """Return the label's logit of the image under each channel as a mask."""
        size, channels = image.shape[-2:], features[numbers, None]
        masks = interpolate(channels, size, mode="bilinear", align_corners=True)
        least = masks.amin((2, 3), keepdim=True)
        masks = (masks - least) / (masks.amax((2, 3), keepdim=True) - least + EPSILON)
        output = forward(self.model, image * masks.to(image))
        return find_logits(output, self.model)[:, label].float()

    def weights(self, scores: Tensor) -> Tensor:
        """Return the softmax of the scores over channels."""
        return scores.softmax(0)


class AblationCAM(ForwardCAM):
    """Ablation-CAM: channels weighted by the loss of class score without each channel.

    Equation 5 divides this difference by the score. After scaling the map to [0, 1], the division
    only changes the sign of the map for negative scores, so it is omitted.

    Source: Desai & Ramaswamy, Ablation-CAM: Visual Explanations for Deep Convolutional Network via
    Gradient-free Localization, WACV 2020, equations 5 and 6.

    >>> from wsol.models import create_network
    >>> network = create_network("test_resnet", num_classes=5, pretrained=False)
    >>> AblationCAM(network, channels=8)(torch.rand(1, 3, 64, 64)).shape
    torch.Size([1, 64, 64])
    """

    def scores(
        self, image: Tensor, layer: str, features: Tensor, numbers: Tensor, label: Tensor
    ) -> Tensor:
        """Return the decrease of the label's logit without each of the channels."""
        body = layer_root(self.model)
        # Includes the unmodified image: the recorded pass may have a lower precision.
        images = image.expand(1 + len(numbers), -1, -1, -1)

        def ablate(output: Tensor) -> Tensor:
            layout = find_layout(output, images, body) or Layout()
            return layout.change(output, lambda maps: _without(maps, numbers))

        with changed_output(find_output(body, layer), ablate):
            logits = find_logits(forward(self.model, images), self.model)[:, label].float()
        return logits[0] - logits[1:]


def _without(maps: Tensor, numbers: Tensor) -> Tensor:
    """Return maps, the first unmodified, each other one without one of the channels."""
    kept = torch.ones_like(maps[:, :, :1, :1])
    kept[torch.arange(1, len(maps), device=maps.device), numbers] = 0
    return maps * kept
