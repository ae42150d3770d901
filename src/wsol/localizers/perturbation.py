"""Localizers that run the classifier once for each channel: Score- and Ablation-CAM."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from wsol.localizers._forward import ForwardPass, changed_output, find_logits, layer_root
from wsol.localizers.base import ScoreMaps
from wsol.models.layout import Layout, find_layout
from wsol.models.utils import evaluating, find_output, forward


class ForwardCAM(ScoreMaps):
    """Base of localizers whose channel weights come from forward passes instead of gradients.

    Args:
        model: the classifier.
        arguments: as of ``ScoreMaps``.
        batch_size: channels that a forward pass asks for.
        channels: ask only for as many channels, those that vary most over the image; default:
            all, as published.
        options: as of ``ScoreMaps``.
    """

    def __init__(
        self,
        model: nn.Module,
        *arguments: Any,
        batch_size: int = 32,
        channels: int | None = None,
        **options: Any,
    ) -> None:
        """Keep the classifier."""
        super().__init__(model, *arguments, **options)
        self.batch_size, self.channels = batch_size, channels

    def why_not_exportable(self) -> str:
        """Return that it takes more than one pass."""
        return "asks the network again for each channel"

    def score_maps(self, forward_pass: ForwardPass, labels: Tensor) -> list[Tensor]:
        """Return the maps ``(N, h, w)`` of each layer, not negative."""
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
        """Return what some channels score, float32 ``(K,)``.

        Args:
            image: ``(3, H, W)``.
            layer: where the channels are.
            features: all of them, ``(C, h, w)``.
            numbers: of some, int64 ``(K,)``.
            label: int64 scalar.
        """
        raise NotImplementedError

    def weights(self, scores: Tensor) -> Tensor:
        """Return the weights ``(K,)`` of channels from what all of them score."""
        return scores


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
        self, image: Tensor, layer: str, features: Tensor, numbers: Tensor, label: Tensor
    ) -> Tensor:
        """Return what the label's logit loses without each of the channels."""
        body = layer_root(self.model)
        # The whole image as well: the pass that was looked at may have been less precise.
        images = image.expand(1 + len(numbers), -1, -1, -1)

        def ablate(output: Tensor) -> Tensor:
            layout = find_layout(output, images, body) or Layout()
            return layout.change(output, lambda maps: _without(maps, numbers))

        with changed_output(find_output(body, layer), ablate):
            logits = find_logits(forward(self.model, images), self.model)[:, label].float()
        return logits[0] - logits[1:]


def _without(maps: Tensor, numbers: Tensor) -> Tensor:
    """Return maps whose first is whole, and each other without one of the channels."""
    kept = torch.ones_like(maps[:, :, :1, :1])
    kept[torch.arange(1, len(maps), device=maps.device), numbers] = 0
    return maps * kept
