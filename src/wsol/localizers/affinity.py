"""Score maps that follow what looks alike in the picture."""

from math import ceil, sqrt

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, interpolate, normalize

from wsol.localizers.stages import MOST_PLACES
from wsol.models.heads import FLAT, scaled_maps


def follow_features(maps: Tensor, features: Tensor) -> Tensor:
    """Return maps in which each place has the mean of all places that look like it.

    How much two places look alike is the cosine of their features, from which the picture's mean
    has been taken; places that look opposite count for nothing. It is one step of a random walk.

    Args:
        maps: float32 ``(N, h, w)``.
        features: float32 ``(N, C, h, w)``.

    Source: Ahn & Kwak, Learning Pixel-level Semantic Affinity with Image-level Supervision for
    Weakly Supervised Semantic Segmentation, CVPR 2018, equations 5 and 6; there the affinity is
    learnt, here it is that of the classifier's own features.

    >>> features = torch.tensor([[[[1.0, 1.0, -1.0]]]])
    >>> follow_features(torch.tensor([[[0.0, 1.0, 0.5]]]), features)
    tensor([[[0.5000, 0.5000, 0.5000]]])
    """
    points = features.flatten(2)
    mean = points.mean(2, keepdim=True)
    centred = points - mean
    # A channel that is constant keeps a rounding error of its mean, which has no direction.
    varies = centred.abs().amax(2, keepdim=True) > FLAT * mean.abs()
    points = normalize(centred * varies, dim=1)
    # Sums of what looks alike, and how much there is of it. One picture at a time, as its matrix
    # stays in the processor's cache.
    wanted = torch.stack((maps.flatten(1), torch.ones_like(maps).flatten(1)), 2)
    if torch.compiler.is_exporting():
        # In a graph the number of pictures is open.
        sums = (points.mT @ points).relu() @ wanted
    else:
        sums = torch.stack(
            [(own.T @ own).relu_() @ each for own, each in zip(points, wanted, strict=True)]
        )
    total, share = sums.unbind(2)
    # Where all features are equal none looks like another, and the map stays as it is.
    found = torch.where(share > 0, total / share, wanted[:, :, 0])
    return found.reshape(maps.shape)


POWER = 4
"""Of the cosines between a place and those whose scores it takes over."""

DETAIL_SHARE = 0.6
"""Of the logarithm of the map that follows details; the rest is the coarse map's."""


def follow_details(maps: Tensor, details: Tensor) -> Tensor:
    """Return maps at the size of finer features, with the outlines that these show.

    Each place of the finer grid takes the mean of the coarse map's scores over all cells, weighted
    by the fourth power of the cosine between its features and the mean features of the cell. The
    geometric mean of that, scaled to [0, 1], and of the enlarged coarse map is returned: what looks
    like the object and lies where the coarse map sees it.

    Args:
        maps: float32 ``(N, h, w)`` in [0, 1].
        details: float32 ``(N, C, H, W)``, of a finer grid.

    Returns:
        float32 ``(N, H, W)`` in [0, 1]; half that height and width, or less, where there were more
        than ``MOST_PLACES``.

    Source: joint upsampling (Kopf et al., SIGGRAPH 2007, equation 3), with features for colours and
    without a spatial kernel, which the enlarged map takes the place of.

    >>> follow_details(torch.rand(2, 7, 7), torch.rand(2, 8, 14, 14)).shape
    torch.Size([2, 14, 14])
    """
    height, width = details.shape[2:]
    step = ceil(sqrt(height * width / MOST_PLACES))
    grid = (ceil(height / step), ceil(width / step))
    details = adaptive_avg_pool2d(details, grid)
    cells = adaptive_avg_pool2d(details, (maps.shape[1], maps.shape[2])).flatten(2)
    mean = cells.mean(2, keepdim=True)
    keys, places = (normalize(each - mean, dim=1) for each in (cells, details.flatten(2)))
    scores = torch.stack((maps.flatten(1), torch.ones_like(maps).flatten(1)), 2)
    if torch.compiler.is_exporting():
        sums = (places.mT @ keys).relu() ** POWER @ scores
    else:
        sums = torch.stack(
            [
                (place.T @ key).relu_().square_().square_() @ each
                for place, key, each in zip(places, keys, scores, strict=True)
            ]
        )
    total, share = sums.unbind(2)
    # A place that looks like no cell keeps its own score.
    own = interpolate(maps[:, None], grid, mode="bilinear", align_corners=False)[:, 0]
    followed = torch.where(share > 0, total / share, own.flatten(1)).reshape(own.shape)
    return own ** (1 - DETAIL_SHARE) * scaled_maps(followed) ** DETAIL_SHARE
