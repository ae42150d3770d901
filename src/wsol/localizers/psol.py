"""Boxes from a head that has learnt them: pseudo supervised object localization."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wsol.localizers._forward import Look
from wsol.localizers.box_head import BoxHead
from wsol.localizers.distilled import Learnt
from wsol.maps import boxes_at
from wsol.models.modes import full_precision


class PSOL(Learnt):
    """Pseudo Supervised Object Localization: a head that has learnt a teacher's boxes.

    The map of a picture is its one box, filled: any threshold between 0 and 1 gives it back.
    ``wsol distill`` makes runs whose localizer this is.

    Args:
        model: the classifier.
        options: as of ``ScoreMaps``. Features of several taps are brought to the grid of the last.

    Source: Zhang, Cao & Wu, Rethinking the Route Towards Weakly Supervised Object Localization,
    CVPR 2020, section 3; there the regressor is a network of its own, here it is a head on the
    classifier, so that one pass gives class and box.

    >>> from wsol.models import create_network
    >>> network = create_network("test_resnet", num_classes=5, pretrained=False)
    >>> localizer = PSOL(network, taps=["layer4"])
    >>> localizer.head = BoxHead(channels=96)
    >>> localizer(torch.rand(2, 3, 64, 64)).shape
    torch.Size([2, 64, 64])
    """

    name = "psol"
    head_type = BoxHead

    def read_label(self, look: Look, labels: Tensor, size: tuple[int, int] | None = None) -> Tensor:
        """Return the filled boxes ``(N, H, W)``; they are the same for all labels.

        Args:
            look: what the pass has seen.
            labels: int64 ``(N,)``.
            size: height and width; default: the input's.
        """
        height, width = size or look.images.shape[-2:]
        head = self.ready_head(look.images.device)
        with torch.no_grad(), full_precision(look.images.device):
            return filled(head(self.features(look)), height, width)

    def grid(self, sizes: Sequence[tuple[int, int]]) -> tuple[int, int]:
        """Return that of the last tap."""
        return sizes[-1]

    def target(
        self, heat_map: NDArray[Any], threshold: float, grid: tuple[int, int]
    ) -> NDArray[np.float32] | None:
        """Return the largest box, ``(4,)`` as shares of the picture; None where there is none."""
        boxes = boxes_at(heat_map, threshold, "largest")
        if len(boxes) == 0:
            return None
        height, width = heat_map.shape
        sides = np.array([width, height, width, height], np.float32)
        box: NDArray[np.float32] = boxes[0].astype(np.float32) / sides
        return box

    def mirrored(self, target: NDArray[Any]) -> NDArray[Any]:
        """Return the box in the mirror image."""
        x0, y0, x1, y1 = target
        return np.array([1 - x1, y0, 1 - x0, y1], np.float32)


def filled(boxes: Tensor, height: int, width: int) -> Tensor:
    """Return maps ``(N, H, W)`` of the share of each pixel that lies in a box.

    Where a box leaves no pixel free, the first one is made so: a map that is the same everywhere
    has no object.

    Args:
        boxes: float32 ``(N, 4)``, x0 y0 x1 y1 as shares of the picture.
        height: of the maps in pixels.
        width: of the maps in pixels.

    >>> filled(torch.tensor([[0.25, 0.0, 0.625, 0.5]]), 2, 4).tolist()
    [[[0.0, 1.0, 0.5, 0.0], [0.0, 0.0, 0.0, 0.0]]]
    """
    rows = _covered(boxes[:, 1] * height, boxes[:, 3] * height, height)
    columns = _covered(boxes[:, 0] * width, boxes[:, 2] * width, width)
    maps = rows[:, :, None] * columns[:, None, :]
    maps[:, 0, 0] *= maps.amin((1, 2)) <= 0
    return maps


def _covered(start: Tensor, end: Tensor, count: int) -> Tensor:
    """Return the share of each of ``count`` pixels in a row between two points, ``(N, count)``."""
    left = torch.arange(count, device=start.device)
    return (end[:, None].minimum(left + 1) - start[:, None].maximum(left)).clamp(min=0)
