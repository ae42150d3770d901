"""Classifier made of a body, which computes features, and a head."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from wsol.errors import ConfigError
from wsol.models.heads import Head, Output
from wsol.models.layout import Layout, declares_channels_last, to_feature_maps, to_maps
from wsol.models.utils import (
    device_of,
    evaluating,
    find_layer,
    find_output,
    input_spec,
    recorded_outputs,
)

NO_CHOICES: Mapping[str, tuple[str, ...]] = {}


class Network(nn.Module):
    """Body and head of a classifier.

    Args:
        body: module from images ``(N, 3, H, W)`` to features, with ``forward_features`` if it has
            that method, as timm networks do. Its submodules' names are the layers.
        head: module from feature maps to logits, with ``score_maps``.
        mean: mean of the input normalization per channel, for images in [0, 1].
        std: standard deviation of the input normalization per channel.
        choices: layers that the published code uses in this network, by method.
        new_layers: names of modules of the body without pretrained weights.
        full_rate: names of further modules of the body with the learning rate of the head.
        guide_channels: channels of SPG's branches in the published code; 0 without a value.

    >>> import torch
    >>> from wsol.models.heads import LinearHead
    >>> network = Network(nn.Conv2d(3, 8, 4, stride=4), LinearHead(8, 2))
    >>> images = torch.rand(1, 3, 16, 16)
    >>> network(images).logits.shape, network.score_maps(images, torch.tensor([1])).shape
    (torch.Size([1, 2]), torch.Size([1, 4, 4]))
    """

    def __init__(
        self,
        body: nn.Module,
        head: Head,
        mean: tuple[float, ...] = (0.5, 0.5, 0.5),
        std: tuple[float, ...] = (0.5, 0.5, 0.5),
        *,
        choices: Mapping[str, tuple[str, ...]] = NO_CHOICES,
        new_layers: tuple[str, ...] = (),
        full_rate: tuple[str, ...] = (),
        guide_channels: int = 0,
    ) -> None:
        """Store body and head."""
        super().__init__()
        self.body, self.head, self.mean, self.std = body, head, mean, std
        self.choices, self.guide_channels = choices, guide_channels
        self.new_layers, self.full_rate = new_layers, full_rate

    def features(self, images: Tensor) -> Tensor:
        """Return the body's last feature maps ``(N, C, h, w)`` of images ``(N, 3, H, W)``."""
        features = getattr(self.body, "forward_features", self.body)(images)
        return to_feature_maps(features, self.body, images)

    def layer_features(
        self, images: Tensor, layers: tuple[str, ...]
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return the last feature maps, and those of modules of the body, each ``(N, C, h, w)``.

        Args:
            images: ``(N, 3, H, W)``.
            layers: names of modules, as in ``body.named_modules()``.

        Raises:
            ConfigError: a module does not exist, or its output is not feature maps.
        """
        modules = [find_output(self.body, layer) for layer in layers]
        with recorded_outputs(modules) as outputs:
            features = self.features(images)
        found = zip(layers, (outputs[module] for module in modules), strict=True)
        return features, tuple(self._maps_at(layer, given, images) for layer, given in found)

    def _maps_at(self, layer: str, outputs: list[Any], images: Tensor) -> Tensor:
        output = outputs[-1] if outputs else None
        if not isinstance(output, Tensor) or output.ndim not in (3, 4):
            raise ConfigError(f"layer {layer!r}: the output is not feature maps; use another layer")
        if output.ndim == 3:
            return to_feature_maps(output, self.body, images)
        return to_maps(output, Layout(channels_last=declares_channels_last(self.body)), images)

    def channels_at(self, layers: tuple[str, ...]) -> tuple[int, ...]:
        """Return the number of channels of the outputs of modules of the body.

        Args:
            layers: names of modules, as in ``body.named_modules()``.

        Raises:
            ConfigError: a module does not exist, or its output is not feature maps.
        """
        images = torch.zeros(1, *input_spec(self.body).size, device=device_of(self.body))
        with evaluating(self), torch.no_grad():
            _, tapped = self.layer_features(images, layers)
        return tuple(maps.shape[1] for maps in tapped)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Output:
        """Return logits and features of normalised images ``(N, 3, H, W)``.

        Args:
            images: normalised images, ``(N, 3, H, W)``.
            labels: int64 ``(N,)``; some methods' heads use the ground-truth class in training.
        """
        if self.training and self.head.layers:
            features, tapped = self.layer_features(images, self.head.layers)
        else:
            features, tapped = self.features(images), ()
        return self.head.output(features, labels, tapped)

    def score_maps(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return the raw score maps ``(N, h, w)`` of ``labels`` ``(N,)``."""
        return self.head.score_maps(self.features(images), labels)

    def load_published(self, weights: Mapping[str, Any]) -> None:
        """Load weights under the names of the published code; see ``PublishedNetwork``.

        Raises:
            ConfigError: this network has no published names, or the weights do not fit.
        """
        raise ConfigError(
            "this network has no published names; use create_network('tensorpack/...') or "
            "create_network('wsolevaluation/...'), or load_state_dict"
        )

    def fast_parameters(self) -> list[nn.Parameter]:
        """Return the weights with the full learning rate: the head's, and those of new layers.

        >>> from wsol.models.heads import LinearHead
        >>> body = nn.Sequential(nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 1))
        >>> network = Network(body, LinearHead(8, 2), new_layers=("1",))
        >>> len(network.fast_parameters()), len(network.slow_parameters())
        (4, 2)
        """
        parts = [find_layer(self.body, name) for name in (*self.new_layers, *self.full_rate)]
        fast = [weight for part in parts for weight in part.parameters()]
        return [*fast, *self.head.parameters()]

    def slow_parameters(self) -> list[nn.Parameter]:
        """Return the weights of pretrained layers."""
        fast = set(self.fast_parameters())
        return [weight for weight in self.parameters() if weight not in fast]
