"""The first principal component of features."""

import torch
from torch import Tensor
from torch.nn.functional import normalize


def first_component(points: Tensor) -> Tensor:
    """Return the direction in which points vary most, of length one.

    Args:
        points: ``(..., P, C)``; only their differences from their mean count.

    Returns:
        ``(..., C)``; which of its two signs is open.

    >>> first_component(torch.tensor([[0.0, 1], [2, 1], [4, 1]])).abs()
    tensor([1., 0.])
    """
    centred = points - points.mean(-2, keepdim=True)
    # Of the two products, the smaller one has the same eigenvalues.
    if points.shape[-2] >= points.shape[-1]:
        return leading_direction(centred.mT @ centred)
    places = leading_direction(centred @ centred.mT)
    return normalize((places.unsqueeze(-2) @ centred).squeeze(-2), dim=-1)


def leading_direction(products: Tensor) -> Tensor:
    """Return the eigenvector ``(..., C)`` of the largest eigenvalue of symmetric ``(..., C, C)``.

    It is NaN where something is not finite.

    >>> leading_direction(torch.tensor([[1.0, 0], [0, 9]])).abs()
    tensor([0., 1.])
    """
    # The solver raises an error at one such matrix, and the others had no vectors either.
    finite = products.isfinite().all(-1).all(-1)[..., None]
    vectors: Tensor = torch.linalg.eigh(products.where(finite[..., None], 0)).eigenvectors
    return vectors[..., -1].where(finite, torch.nan)


def signed_like(maps: Tensor, strengths: Tensor) -> Tensor:
    """Return maps, or their negatives where that is larger where something is stronger.

    Args:
        maps: ``(N, h, w)``.
        strengths: of the same shape.

    >>> signed_like(torch.tensor([[[0.0, -1.0]]]), torch.tensor([[[1.0, 2.0]]])).tolist()
    [[[-0.0, 1.0]]]
    """
    centred = maps - maps.mean((1, 2), keepdim=True)
    sign = (centred * strengths).sum((1, 2), keepdim=True).sign()
    return maps * sign.where(sign != 0, 1)
