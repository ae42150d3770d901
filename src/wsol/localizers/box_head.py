"""The learnt head that sees a box in the features of a picture."""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import smooth_l1_loss, softplus
from torchvision.ops import generalized_box_iou_loss

from wsol.localizers.distilled import Head

WIDTH = 128
"""Channels between a head's two convolutions."""

FIRST_REACH = 0.25
"""How far the sides of a new head's boxes are from each place, as a share of the picture."""

BEND = 0.1
"""Difference, as a share of the picture, from which on the smooth L1 loss grows linearly."""


class BoxHead(Head):
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

    def __init__(self, channels: int, width: int = WIDTH) -> None:
        """Start with large boxes in the middle."""
        super().__init__(channels, width)
        self.around = nn.Conv2d(width, width, 3, padding=1)
        self.say = nn.Conv2d(width, 8, 1)
        first = math.log(math.expm1(FIRST_REACH))
        self.say.bias = nn.Parameter(torch.tensor([0.0, first]).repeat_interleave(4))

    def forward(self, features: Tensor) -> Tensor:
        """Return boxes ``(N, 4)``, x0 y0 x1 y1 as shares of the picture, in [0, 1].

        Args:
            features: float32 ``(N, C, h, w)``.
        """
        said: Tensor = self.say(self.around(self.mixed(features)).relu()).flatten(2)
        weights = said[:, :4].softmax(2)
        reach = softplus(said[:, 4:])
        places = centres(features.shape[-2], features.shape[-1]).to(features)
        sides = torch.cat((places - reach[:, :2], places + reach[:, 2:]), dim=1)
        first, last = (sides * weights).sum(2).clamp(0, 1).chunk(2, dim=1)
        return torch.cat((first.minimum(last), first.maximum(last)), dim=1)

    def loss(self, features: Tensor, targets: Tensor) -> Tensor:
        """Return how far the head's boxes are from others, see ``box_loss``.

        Args:
            features: float32 ``(N, C, h, w)``.
            targets: float32 ``(N, 4)``, x0 y0 x1 y1 as shares of the picture.
        """
        return box_loss(self(features), targets)


def box_loss(found: Tensor, wanted: Tensor) -> Tensor:
    """Return how far boxes are from others: the mean of smooth L1 and generalised IoU losses.

    Args:
        found: float32 ``(N, 4)``, x0 y0 x1 y1 as shares of the picture.
        wanted: of the same shape.

    Source: Rezatofighi et al., Generalized Intersection over Union, CVPR 2019, algorithm 1.

    >>> box = torch.tensor([[0.0, 0.0, 0.5, 0.5]])
    >>> round(float(box_loss(box, box)), 6), float(box_loss(box, box + 0.5)) > 1
    (0.0, True)
    """
    sides = smooth_l1_loss(found, wanted, beta=BEND)
    overlap = generalized_box_iou_loss(found, wanted, reduction="mean")
    return sides + overlap


def centres(height: int, width: int) -> Tensor:
    """Return the middle of each place of a grid, ``(2, h * w)``, x and y as shares of the picture.

    >>> centres(1, 2).tolist()
    [[0.25, 0.75], [0.5, 0.5]]
    """
    ys, xs = (torch.arange(0.5, count) / count for count in (height, width))
    return torch.stack((xs.expand(height, -1), ys[:, None].expand(-1, width))).flatten(1)
