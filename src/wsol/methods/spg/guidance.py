"""From one branch's map to the mask that guides another, and how far a branch is from it."""

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, interpolate

SIZE = 224
"""Side of the masks in pixels: the published code compares at this size, whatever the input's."""

FEWEST = 30
"""Where fewer pixels are object, those above ``RELAXED`` of the maximum are."""

RELAXED = 0.7


def enlarged(maps: Tensor) -> Tensor:
    """Return maps ``(N, 1, h, w)`` in float32 at the masks' size, bilinear.

    >>> enlarged(torch.zeros(2, 1, 7, 7)).shape
    torch.Size([2, 1, 224, 224])
    """
    return interpolate(maps.float(), (SIZE, SIZE), mode="bilinear", align_corners=False)


def guide(attention: Tensor, high: float, low: float) -> tuple[Tensor, Tensor]:
    """Return a mask of the object, and which of its pixels count.

    Args:
        attention: ``(N, 1, H, W)`` in [0, 1].
        high: object above it.
        low: background below it.

    Returns:
        bool ``(N, 1, H, W)`` twice.

    Source: Zhang et al., ECCV 2018, equation 2; the relaxed rule is that of the published code.

    >>> attention = torch.linspace(0, 1, 100).reshape(1, 1, 10, 10)
    >>> [int(mask.sum()) for mask in guide(attention, high=0.6, low=0.1)]
    [40, 50]
    """
    pixels = (1, 2, 3)
    above = attention > high
    relaxed = attention > RELAXED * attention.amax(pixels, keepdim=True)
    few = above.sum(pixels, keepdim=True) < FEWEST
    background = attention < low
    found = torch.where(few, relaxed, above) & ~background
    return found, found | background


def distance(logits: Tensor, attention: Tensor, high: float, low: float) -> Tensor:
    """Return the mean binary cross-entropy of a branch over the pixels that count.

    Args:
        logits: ``(N, 1, h, w)`` of the branch.
        attention: ``(N, 1, 224, 224)`` in [0, 1]; it carries no gradient.
        high: as in ``guide``.
        low: as in ``guide``.

    >>> attention = torch.ones(1, 1, 224, 224)
    >>> distance(torch.zeros(1, 1, 7, 7), attention, 0.7, 0.1)
    tensor(0.6931)
    """
    found, counts = guide(attention.detach(), high, low)
    losses = binary_cross_entropy_with_logits(
        enlarged(logits), found.float(), weight=counts.float(), reduction="sum"
    )
    return losses / counts.sum().clamp(min=1)
