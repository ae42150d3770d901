"""Gradient rollout: attention weighted by how it serves a class, through all layers."""

import torch
from torch import Tensor

from wsol.localizers._forward import Look
from wsol.localizers.transformer import AttentionRollout, checked, patches_of


class GradientRollout(AttentionRollout):
    """Attention times its gradient, negative values left out, rolled out through the layers.

    Args:
        model: a transformer whose layers all attend to one grid of patches.
        options: as of ``ScoreMaps``; it has no taps.

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

    def score_maps(self, look: Look, labels: Tensor) -> list[Tensor]:
        """Return one map ``(N, h, w)``."""
        layers = checked(look)
        gradients = look.attention_gradients(labels)
        flow = torch.eye(layers[0].shape[-1], device=layers[0].device).expand(len(labels), -1, -1)
        for attention, gradient in zip(layers, gradients, strict=True):
            serving = (attention * gradient).relu().mean(1)
            flow = flow + serving @ flow
        # What a token keeps of itself is no attention.
        own = torch.eye(flow.shape[-1], device=flow.device)
        return [patches_of(flow - own, look)]
