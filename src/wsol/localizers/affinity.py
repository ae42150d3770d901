"""Score maps that follow what looks alike in the picture."""

import torch
from torch import Tensor
from torch.nn.functional import normalize

from wsol.models.heads import FLAT


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
