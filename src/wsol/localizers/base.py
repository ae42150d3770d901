"""The interface of localizers."""

from typing import Literal, NamedTuple

from torch import Tensor, nn
from torch.nn.functional import interpolate

Interpolation = Literal["bicubic", "bilinear"]


class Localized(NamedTuple):
    """What a localizer says of a batch.

    Attributes:
        logits: float32 ``(N, classes)``.
        labels: int64 ``(N,)``, the classes that the maps belong to.
        maps: float32 ``(N, H, W)``, raw score maps at the input's size.
    """

    logits: Tensor
    labels: Tensor
    maps: Tensor


class ScoreMaps:
    """Base of localizers: a callable from images to score maps.

    Args:
        model: a classifier; its mode and its gradients are left as they were.
    """

    def __init__(self, model: nn.Module) -> None:
        """Keep the classifier."""
        self.model = model

    def locate(self, images: Tensor, labels: Tensor | None = None) -> Localized:
        """Return logits, labels and maps from one pass.

        Args:
            images: normalised, ``(N, 3, H, W)``.
            labels: int64 ``(N,)``; None takes the network's first choice.
        """
        raise NotImplementedError

    def __call__(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return raw score maps, float32 ``(N, H, W)`` at the input's size.

        Args:
            images: normalised, ``(N, 3, H, W)``.
            labels: int64 ``(N,)``; None takes the network's first choice.
        """
        return self.locate(images, labels).maps


def at_input_size(maps: Tensor, images: Tensor, interpolation: Interpolation = "bicubic") -> Tensor:
    """Resize maps ``(N, h, w)`` to the images' size, before any scaling.

    Source: ``docs/protocol.md``.

    >>> import torch
    >>> at_input_size(torch.rand(2, 14, 14), torch.rand(2, 3, 224, 224)).shape
    torch.Size([2, 224, 224])
    """
    size = images.shape[-2:]
    return interpolate(maps[:, None].float(), size, mode=interpolation, align_corners=False)[:, 0]
