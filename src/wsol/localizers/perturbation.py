"""Localizers that ask the classifier again, once for each channel."""

from typing import Any

import torch
from torch import Tensor, nn

from wsol.localizers._forward import Look
from wsol.localizers.base import ScoreMaps
from wsol.models.modes import evaluating


class ForwardCAM(ScoreMaps):
    """Base of localizers whose channel weights come from forward passes instead of gradients.

    Args:
        model: the classifier.
        arguments: as of ``ScoreMaps``.
        batch_size: channels that a forward pass asks for.
        channels: ask only for as many channels, those that vary most over the picture; default:
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

    def why_no_graph(self) -> str:
        """Return that it takes more than one pass."""
        return "asks the network again for each channel"

    def score_maps(self, look: Look, labels: Tensor) -> list[Tensor]:
        """Return the maps ``(N, h, w)`` of each tap, not negative."""
        with evaluating(self.model):
            return [self._tap_maps(look, labels, tap) for tap in self.taps]

    def _tap_maps(self, look: Look, labels: Tensor, tap: str) -> Tensor:
        features = look.features[tap]
        maps = []
        for image, own, label in zip(look.images, features, labels, strict=True):
            numbers = own.flatten(1).var(1).argsort(descending=True)[: self.channels]
            scores = [
                self.scores(image, tap, own, some, label) for some in numbers.split(self.batch_size)
            ]
            weights = self.weights(torch.cat(scores))
            maps.append(torch.einsum("chw,c->hw", own[numbers], weights).relu())
        return torch.stack(maps)

    def scores(
        self, image: Tensor, tap: str, features: Tensor, numbers: Tensor, label: Tensor
    ) -> Tensor:
        """Return what some channels score, float32 ``(K,)``.

        Args:
            image: ``(3, H, W)``.
            tap: where the channels are.
            features: all of them, ``(C, h, w)``.
            numbers: of some, int64 ``(K,)``.
            label: int64 scalar.
        """
        raise NotImplementedError

    def weights(self, scores: Tensor) -> Tensor:
        """Return the weights ``(K,)`` of channels from what all of them score."""
        return scores
