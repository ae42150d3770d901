"""The learnt head that sees a box in the features of a picture."""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

WIDTH = 128
"""Channels between a head's two convolutions."""

FIRST_REACH = 0.25
"""How far the sides of a new head's boxes are from each place, as a share of the picture."""


class BoxHead(nn.Module):
    """From features to one box for each picture.

    Each place says of each of the four sides how far it is, and how much this word counts; a side
    is the weighted mean of what all places say of it. A side is seen best where it is: with one
    weight for all four, boxes are much worse.

    Args:
        channels: of the features.
        width: channels inside.

    Source: Zhang, Cao & Wu, Rethinking the Route Towards Weakly Supervised Object Localization,
    CVPR 2020, section 3.3, regress one box from the picture; distances to the sides are from Tian
    et al., FCOS, ICCV 2019, equation 1.

    >>> BoxHead(channels=8)(torch.rand(2, 8, 7, 7)).shape
    torch.Size([2, 4])
    """

    mean: Tensor
    std: Tensor

    def __init__(self, channels: int, width: int = WIDTH) -> None:
        """Start with large boxes in the middle."""
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("std", torch.ones(channels))
        self.mix = nn.Conv2d(channels, width, 1)
        self.around = nn.Conv2d(width, width, 3, padding=1)
        self.say = nn.Conv2d(width, 8, 1)
        first = math.log(math.expm1(FIRST_REACH))
        self.say.bias = nn.Parameter(torch.tensor([0.0, first]).repeat_interleave(4))

    def forward(self, features: Tensor) -> Tensor:
        """Return boxes ``(N, 4)``, x0 y0 x1 y1 as shares of the picture, in [0, 1].

        Args:
            features: float32 ``(N, C, h, w)``.
        """
        shape = (1, -1, 1, 1)
        known = (features - self.mean.view(shape)) / self.std.view(shape)
        said: Tensor = self.say(self.around(self.mix(known)).relu()).flatten(2)
        weights = said[:, :4].softmax(2)
        reach = softplus(said[:, 4:])
        places = centres(features.shape[-2], features.shape[-1]).to(features)
        sides = torch.cat((places - reach[:, :2], places + reach[:, 2:]), dim=1)
        first, last = (sides * weights).sum(2).clamp(0, 1).chunk(2, dim=1)
        return torch.cat((first.minimum(last), first.maximum(last)), dim=1)


def centres(height: int, width: int) -> Tensor:
    """Return the middle of each place of a grid, ``(2, h * w)``, x and y as shares of the picture.

    >>> centres(1, 2).tolist()
    [[0.25, 0.75], [0.5, 0.5]]
    """
    ys, xs = (torch.arange(0.5, count) / count for count in (height, width))
    return torch.stack((xs.expand(height, -1), ys[:, None].expand(-1, width))).flatten(1)
