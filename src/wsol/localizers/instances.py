"""Maps of a head that has learnt to tell objects apart that touch."""

from collections.abc import Sequence

import torch
from torch import Tensor

from wsol.localizers._forward import Look
from wsol.localizers.base import resized
from wsol.localizers.distilled import Learnt
from wsol.localizers.distilled_heads import Head, InstanceHead
from wsol.localizers.ensemble import share_places
from wsol.models.utils import full_precision
from wsol.types import Normalization


class LearntInstances(Learnt):
    """A head that has learnt objects cut out of images and pasted together.

    Its map is the square of the depth, see ``InstanceHead``: 1 in the middle of an object, one
    quarter at its edge, times the probability of the class. Where two objects touch, the map has a
    valley, and ``objects_at`` cuts there. Of several labels each place belongs to the likeliest.
    ``wsol distill`` makes runs whose localizer this is.

    Args:
        model: the classifier.
        options: as of ``ScoreMaps``. Features of several taps are brought to the finest grid.

    Source: Dwibedi, Misra & Hebert, Cut, Paste and Learn, ICCV 2017, section 3; Bai & Urtasun,
    Deep Watershed Transform for Instance Segmentation, CVPR 2017, section 3.

    >>> from wsol.models import create_network
    >>> network = create_network("test_resnet", num_classes=5, pretrained=False)
    >>> localizer = LearntInstances(network, taps=["layer3", "layer4"])
    >>> localizer.head = localizer.new_head(channels=288, num_classes=5)
    >>> localizer(torch.rand(2, 3, 64, 64), torch.tensor([[0, 3], [1, -1]])).shape
    torch.Size([2, 2, 64, 64])
    """

    name = "instances"
    head_type = InstanceHead
    sees_classes = True
    normalization: Normalization = "max"
    """Levels mean something: a quarter is the edge of an object."""

    def grid(self, sizes: Sequence[tuple[int, int]]) -> tuple[int, int]:
        """Return the finest: edges are seen there."""
        return max(sizes, key=lambda size: size[0] * size[1])

    def new_head(self, channels: int, num_classes: int) -> Head:
        """Return a head that has learnt nothing, see ``Learnt.new_head``."""
        return InstanceHead(channels, num_classes=num_classes)

    def head_like(self, weights: dict[str, Tensor]) -> Head:
        """Return a head whose weights have the shapes of others, see ``Learnt.head_like``."""
        width, channels = weights["mix.weight"].shape[:2]
        return InstanceHead(channels, width, len(weights["say.bias"]) - 1)

    def read(self, look: Look, labels: Tensor, size: tuple[int, int] | None = None) -> Tensor:
        """Return the maps ``(N, H, W)`` or ``(N, K, H, W)``.

        Args:
            look: what the pass has seen.
            labels: int64 ``(N,)``; or ``(N, K)``, -1 for none: each place is in one map alone.
            size: height and width; default: the input's.
        """
        if labels.ndim == 1:
            return super().read(look, labels, size)
        height, width = size or look.images.shape[-2:]
        with torch.no_grad(), full_precision(look.images.device):
            maps, shares = self._depths_and_classes(look)
            rows = torch.arange(len(labels), device=labels.device)[:, None]
            chosen = shares[rows, labels.clamp(min=0)]
            owned = share_places(maps[:, None], chosen, labels) * chosen
            sized = [resized(own, (height, width), self.interpolation) for own in owned.unbind(1)]
            return torch.stack(sized, 1)

    def score_maps(self, look: Look, labels: Tensor) -> list[Tensor]:
        """Return one map ``(N, h, w)``: squared depths times the label's probability."""
        maps, shares = self._depths_and_classes(look)
        return [maps * shares[torch.arange(len(labels), device=labels.device), labels]]

    def _depths_and_classes(self, look: Look) -> tuple[Tensor, Tensor]:
        """Return squared depths ``(N, h, w)`` and probabilities of classes ``(N, C, h, w)``."""
        said: Tensor = self.ready_head(look.images.device)(self.features(look))
        return said[:, 0].sigmoid() ** 2, said[:, 1:].sigmoid()
