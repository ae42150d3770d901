"""Maps of a head that has learnt from a teacher's maps which places belong to objects."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

from wsol.localizers._forward import Look
from wsol.localizers.affinity import follow_details
from wsol.localizers.distilled import Learnt
from wsol.localizers.distilled_heads import PixelHead
from wsol.localizers.stages import outline_stage

UNSURE = (0.7, 1.2)
"""Shares of the threshold between which a teacher's map does not say what a place is."""


class LearntPixels(Learnt):
    """A head that has learnt a teacher's maps place by place: the probability of an object.

    Where the teacher's errors differ from picture to picture and objects are alike, a head too
    small to learn the errors keeps the objects. ``wsol distill`` makes runs whose localizer this
    is.

    Args:
        model: the classifier.
        options: as of ``ScoreMaps``. Features of several taps are brought to the finest grid; the
            map then takes on the outlines of a finer stage, as that of ``Prototypes``.

    Source: Siméoni et al., Unsupervised Object Localization: Observing the Background to Discover
    Objects (FOUND), CVPR 2023, section 3; there the coarse masks are of the background in a
    self-supervised transformer, here they are another localizer's.

    >>> from wsol.models import create_network
    >>> network = create_network("test_resnet", num_classes=5, pretrained=False)
    >>> localizer = LearntPixels(network, taps=["layer3", "layer4"])
    >>> localizer.head = PixelHead(channels=288)
    >>> localizer(torch.rand(2, 3, 64, 64)).shape
    torch.Size([2, 64, 64])
    """

    name = "pixels"
    head_type = PixelHead

    def __init__(self, model: nn.Module, *arguments: Any, **options: Any) -> None:
        """Find the stage that gives the outlines."""
        super().__init__(model, *arguments, **options)
        self.outline_tap = outline_stage(self.model, self.size)
        self.more_taps = (self.outline_tap,) if self.outline_tap else ()

    def score_maps(self, look: Look, labels: Tensor) -> list[Tensor]:
        """Return one map ``(N, h, w)`` of probabilities, from all taps together."""
        logits: Tensor = self.ready_head(look.images.device)(self.features(look))
        maps = logits.sigmoid()
        return [follow_details(maps, look.features[self.outline_tap]) if self.outline_tap else maps]

    def grid(self, sizes: Sequence[tuple[int, int]]) -> tuple[int, int]:
        """Return the finest: outlines are seen there."""
        return max(sizes, key=lambda size: size[0] * size[1])

    def target(
        self, heat_map: NDArray[Any], threshold: float, grid: tuple[int, int]
    ) -> NDArray[np.int8]:
        """Return what the teacher's map says of each place, see ``sure_places``."""
        return sure_places(heat_map, threshold, grid)

    def mirrored(self, target: NDArray[Any]) -> NDArray[Any]:
        """Return the labels of the mirror image's places."""
        return np.flip(target, -1)


def sure_places(
    heat_map: NDArray[np.float32], threshold: float, grid: tuple[int, int]
) -> NDArray[np.int8]:
    """Return which places of a grid are object (1), background (0) or neither for sure (-1).

    The brightest place is object, whatever the threshold.

    Args:
        heat_map: ``(H, W)`` in [0, 1], not zero everywhere.
        threshold: share of the maximum above which a place belongs to the object.
        grid: height and width.

    >>> heat_map = np.array([[0.1, 0.34, 0.36, 0.59, 0.61, 1.0]], np.float32)
    >>> sure_places(heat_map, 0.5, (1, 6)).tolist()
    [[0, 0, -1, -1, 1, 1]]
    """
    shares = adaptive_avg_pool2d(torch.from_numpy(heat_map)[None], grid)[0].numpy()
    shares = shares / shares.max()
    ground, thing = (share * threshold for share in UNSURE)
    labels = np.full(grid, -1, np.int8)
    labels[shares >= min(thing, 1)] = 1
    labels[shares <= ground] = 0
    return labels
