"""Localizers of transformers: attention rollout, gradient rollout and TS-CAM."""

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from wsol.errors import ConfigError
from wsol.localizers._forward import ForwardPass, layer_root
from wsol.localizers.base import ScoreMaps
from wsol.localizers.cam import CAM
from wsol.models.layout import grid_size, prefix_tokens


class AttentionRollout(ScoreMaps):
    """Attention rollout: the attention of all layers multiplied, half of each passed by.

    It belongs to no class.

    Args:
        model: a transformer whose layers all attend to one grid of patches.
        options: as of ``ScoreMaps``; it has no layers.

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
        """Return none: attention is watched wherever it is."""
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
    """Return a pass's attentions, if they are all of the same tokens.

    Raises:
        ConfigError: there are none, or they are of windows.
    """
    layers = forward_pass.attentions
    if not layers:
        name = type(layer_root(forward_pass.model)).__name__
        raise ConfigError(f"{name} has no attention: choose another localizer")
    first = (forward_pass.images.shape[0], *layers[0].shape[1:])
    if any(attention.shape != first for attention in layers):
        name = type(layer_root(forward_pass.model)).__name__
        raise ConfigError(
            f"the attention of {name} is not between all patches: choose another localizer"
        )
    return layers


def patches_of(flow: Tensor, forward_pass: ForwardPass) -> Tensor:
    """Return what the class token, or all patches where there is none, see in each patch.

    Args:
        flow: ``(N, L, L)``, from each token to each.
        forward_pass: tells the grid.

    Returns:
        ``(N, h, w)``.
    """
    prefix = prefix_tokens(flow.shape[-1], forward_pass.images, layer_root(forward_pass.model))
    if prefix is None:
        raise ConfigError(
            f"{flow.shape[-1]} tokens are not a grid of patches: choose another localizer"
        )
    rows, columns = grid_size(flow.shape[-1] - prefix, *forward_pass.images.shape[-2:])
    seen = flow[:, 0] if prefix else flow.mean(1)
    return seen[:, prefix:].reshape(seen.shape[0], rows, columns)


class GradientRollout(AttentionRollout):
    """Attention times its gradient, negative values left out, rolled out through the layers.

    Args:
        model: a transformer whose layers all attend to one grid of patches.
        options: as of ``ScoreMaps``; it has no layers.

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
        # What a token keeps of itself is no attention.
        own = torch.eye(flow.shape[-1], device=flow.device)
        return [patches_of(flow - own, forward_pass)]


class TSCAM(CAM):
    """The mean attention of all layers times the class activation maps of the patch tokens.

    Args:
        model: a transformer whose layers all attend to one grid of patches.
        options: as of ``ScoreMaps``.

    Source: Gao et al., TS-CAM: Token Semantic Coupled Attention Map for Weakly Supervised Object
    Localization, ICCV 2021, equations 6 to 8; maps and attention of any classifier stand for those
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
