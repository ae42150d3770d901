"""Localizers for transformers: attention rollout, gradient rollout and TS-CAM.

All layers of the transformer must attend to one grid of patches. The two rollouts read no layers.
"""

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from wsol.errors import ConfigError
from wsol.localizers._forward import ForwardPass, layer_root
from wsol.localizers.base import ScoreMaps
from wsol.localizers.cam import CAM
from wsol.models.layout import grid_size, prefix_tokens


class AttentionRollout(ScoreMaps):
    """Attention rollout: product of the attention of all layers, each averaged with the identity.

    The map is class-agnostic.

    Source: Abnar & Zuidema, Quantifying Attention Flow in Transformers, ACL 2020, equation 1.

    >>> from wsol.models import create_network
    >>> network = create_network("test_vit", num_classes=5, pretrained=False)
    >>> AttentionRollout(network)(torch.rand(2, 3, 160, 160)).shape
    torch.Size([2, 160, 160])
    """

    needs_attention = True
    sees_classes = False
    needs_classes = False

    def default_layers(self) -> tuple[str, ...]:
        """Return no layers: attention is recorded in all of them."""
        return ()

    def score_maps(self, forward_pass: ForwardPass, labels: Tensor) -> list[Tensor]:
        """Return one map ``(N, h, w)``."""
        layers = [attention.mean(1) for attention in checked(forward_pass)]
        flow = torch.eye(layers[0].shape[-1], device=layers[0].device)
        for attention in layers:
            passed = attention + torch.eye(attention.shape[-1], device=attention.device)
            flow = passed / passed.sum(-1, keepdim=True) @ flow
        return [patches_of(flow, forward_pass)]


def checked(forward_pass: ForwardPass) -> list[Tensor]:
    """Return the attentions; windowed attention, or none, raises a ConfigError."""
    layers = forward_pass.attentions
    name = type(layer_root(forward_pass.model)).__name__
    if not layers:
        raise ConfigError(f"{name}: the network has no attention; use another localizer")
    first = (forward_pass.images.shape[0], *layers[0].shape[1:])
    if any(attention.shape != first for attention in layers):
        raise ConfigError(
            f"{name}: the attention is not between all patches; use another localizer"
        )
    return layers


def patches_of(flow: Tensor, forward_pass: ForwardPass) -> Tensor:
    """Return the flow ``(N, h, w)`` from the class token, or without one from all patches, to each.

    The given flow ``(N, L, L)`` is from each token to each.
    """
    prefix = prefix_tokens(flow.shape[-1], forward_pass.images, layer_root(forward_pass.model))
    if prefix is None:
        raise ConfigError(
            f"{flow.shape[-1]} tokens are not a grid of patches; use another localizer"
        )
    rows, columns = grid_size(flow.shape[-1] - prefix, *forward_pass.images.shape[-2:])
    seen = flow[:, 0] if prefix else flow.mean(1)
    return seen[:, prefix:].reshape(seen.shape[0], rows, columns)


class GradientRollout(AttentionRollout):
    """Gradient rollout: positive part of attention times gradient, accumulated over the layers.

    Source: Chefer et al., Generic Attention-model Explainability for Interpreting Bi-Modal and
    Encoder-Decoder Transformers, ICCV 2021, equations 5 and 6.

    >>> from wsol.models import create_network
    >>> network = create_network("test_vit", num_classes=5, pretrained=False)
    >>> GradientRollout(network)(torch.rand(2, 3, 160, 160)).shape
    torch.Size([2, 160, 160])
    """

    needs_gradients = True
    needs_classes = True
    sees_classes = True

    def score_maps(self, forward_pass: ForwardPass, labels: Tensor) -> list[Tensor]:
        """Return one map ``(N, h, w)``."""
        layers = checked(forward_pass)
        gradients = forward_pass.attention_gradients(labels)
        flow = torch.eye(layers[0].shape[-1], device=layers[0].device).expand(len(labels), -1, -1)
        for attention, gradient in zip(layers, gradients, strict=True):
            serving = (attention * gradient).relu().mean(1)
            flow = flow + serving @ flow
        # The identity of each token is not attention.
        own = torch.eye(flow.shape[-1], device=flow.device)
        return [patches_of(flow - own, forward_pass)]


class TSCAM(CAM):
    """TS-CAM: mean attention of all layers times the class activation maps of the patch tokens.

    Source: Gao et al., TS-CAM: Token Semantic Coupled Attention Map for Weakly Supervised Object
    Localization, ICCV 2021, equations 6 to 8; maps and attention of any classifier replace those
    of the network trained there.

    >>> from wsol.models import create_network
    >>> network = create_network("test_vit", num_classes=5, pretrained=False)
    >>> TSCAM(network)(torch.rand(2, 3, 160, 160)).shape
    torch.Size([2, 160, 160])
    """

    needs_attention = True

    def score_maps(self, forward_pass: ForwardPass, labels: Tensor) -> list[Tensor]:
        """Return the coupled maps ``(N, h, w)`` of each layer."""
        layers = checked(forward_pass)
        attention = torch.stack([layer.mean(1) for layer in layers]).mean(0)
        seen = patches_of(attention, forward_pass)
        return [
            maps * interpolate(seen[:, None], maps.shape[1:], mode="bilinear")[:, 0]
            for maps in super().score_maps(forward_pass, labels)
        ]
