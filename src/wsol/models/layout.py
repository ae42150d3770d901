"""Feature maps in one layout, whatever a network makes inside."""

import math

from torch import Tensor, nn


def to_feature_maps(features: Tensor, body: nn.Module, images: Tensor) -> Tensor:
    """Return features as ``(N, C, h, w)``.

    Channels-last maps are turned round, and tokens go back on their grid without the class and
    register tokens, by what timm's networks say of themselves.

    Args:
        features: ``(N, C, h, w)``, ``(N, h, w, C)`` or tokens ``(N, L, C)``.
        body: where they come from; ``num_features`` and ``num_prefix_tokens`` are read from it.
        images: the input, ``(N, 3, H, W)``; the grid has its aspect ratio.

    >>> import torch
    >>> body = nn.Module()
    >>> body.num_features, body.num_prefix_tokens = 192, 1
    >>> to_feature_maps(torch.rand(2, 1 + 4 * 8, 192), body, torch.rand(2, 3, 64, 128)).shape
    torch.Size([2, 192, 4, 8])
    """
    if features.ndim == 3:
        tokens = features[:, getattr(body, "num_prefix_tokens", 0) :]
        height, width = images.shape[-2:]
        rows = round(math.sqrt(tokens.shape[1] * height / width))
        grid: Tensor = tokens.transpose(1, 2).reshape(
            len(tokens), -1, rows, tokens.shape[1] // rows
        )
        return grid
    channels = getattr(body, "num_features", features.shape[1])
    if features.shape[1] != channels and features.shape[-1] == channels:
        return features.permute(0, 3, 1, 2)
    return features
