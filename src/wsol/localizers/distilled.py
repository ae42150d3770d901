"""Localizers whose head was distilled from another localizer: pixels and psol."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, interpolate

from wsol.errors import ConfigError
from wsol.localizers._forward import ForwardPass, Images
from wsol.localizers._layers import outline_stage
from wsol.localizers.base import ScoreMaps, resized
from wsol.localizers.distilled_heads import BoxHead, Head, InstanceHead, PixelHead
from wsol.localizers.ensemble import follow_details, share_places
from wsol.maps import boxes_at
from wsol.models.utils import full_precision
from wsol.types import Normalization


class DistilledLocalizer(ScoreMaps):
    """Base of localizers that a run of ``wsol distill`` has, and no other.

    Args:
        model: the classifier.
        options: as of ``ScoreMaps``.

    Attributes:
        name: of the localizer; names in its state begin with it.
        normalization: how its maps are scaled to [0, 1]; minmax leaves it to the threshold.
        head_type: of the head.
        head: what has learnt; None where nothing has.
    """

    needs_fit = True
    sees_classes = False
    name: str
    normalization: Normalization = "minmax"
    head_type: type[Head]

    def __init__(self, model: nn.Module, *arguments: Any, **options: Any) -> None:
        """Keep the classifier."""
        super().__init__(model, *arguments, **options)
        self.head: Head | None = None

    def fit(self, batches: Iterable[Images]) -> None:
        """Refuse: nothing is learnt from images alone.

        Raises:
            ConfigError: always.
        """
        self.ready_head()

    def state(self) -> dict[str, Tensor]:
        """Return the head's weights by name."""
        head = self.ready_head().state_dict()
        return {f"{self.name}.{name}": value for name, value in head.items()}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Take the weights of a head that has learnt.

        Raises:
            ConfigError: there are none, or they do not fit together.
        """
        prefix = f"{self.name}."
        own = {
            name.removeprefix(prefix): value
            for name, value in state.items()
            if name.startswith(prefix)
        }
        try:
            head = self.head_like(own)
            head.load_state_dict(own)
        except (KeyError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise ConfigError(f"not the weights of a {self.name} head: {reason}") from error
        self.head = head

    def new_head(self, channels: int, num_classes: int) -> Head:
        """Return a head that has learnt nothing.

        Args:
            channels: of its features.
            num_classes: classes of the classifier; most heads see none.
        """
        return self.head_type(channels)

    def head_like(self, weights: dict[str, Tensor]) -> Head:
        """Return a head whose weights have the shapes of others.

        Args:
            weights: by name.
        """
        width, channels = weights["mix.weight"].shape[:2]
        return self.head_type(channels, width)

    def ready_head(self, device: torch.device | None = None) -> Head:
        """Return the head.

        Args:
            device: to bring it to, if it is elsewhere.

        Raises:
            ConfigError: nothing has been learnt.
        """
        if self.head is None:
            raise ConfigError(
                f"{self.name} has learnt nothing: make a run that has with wsol distill RUN "
                f"--out NEW --student {self.name}, and keep its localizer, layer and affinity"
            )
        if device is not None and self.head.mean.device != device:
            self.head.to(device)
        return self.head

    def features(self, forward_pass: ForwardPass) -> Tensor:
        """Return what the head sees, float32 ``(N, C, h, w)``: all layers, on one grid.

        Args:
            forward_pass: what the pass has seen.
        """
        seen = forward_pass.features
        maps = [seen[layer] for layer in self.layers]
        grid = self.grid([(each.shape[2], each.shape[3]) for each in maps])
        return torch.cat([on_grid(each, grid) for each in maps], dim=1)

    def grid(self, sizes: Sequence[tuple[int, int]]) -> tuple[int, int]:
        """Return height and width of the grid that the features of all layers are brought to.

        Args:
            sizes: height and width of each layer's features.
        """
        raise NotImplementedError

    def target(
        self, heat_map: NDArray[Any], threshold: float, grid: tuple[int, int]
    ) -> NDArray[Any] | None:
        """Return what the head is to say of an image; None where there is nothing to learn.

        Args:
            heat_map: the teacher's, float32 ``(H, W)`` in [0, 1].
            threshold: share of its maximum above which a pixel belongs to the object.
            grid: height and width of the features.
        """
        raise NotImplementedError

    def mirrored(self, target: NDArray[Any]) -> NDArray[Any]:
        """Return what the head is to say of the mirror image.

        Args:
            target: as ``target`` returned it.
        """
        raise NotImplementedError


def on_grid(features: Tensor, grid: tuple[int, int]) -> Tensor:
    """Return features at another size: means of places that become one, else bilinear.

    Args:
        features: float32 ``(N, C, h, w)``.
        grid: height and width.

    >>> on_grid(torch.tensor([[[[1.0, 3.0], [5.0, 7.0]]]]), (1, 1)).tolist()
    [[[[4.0]]]]
    >>> on_grid(torch.rand(2, 8, 7, 7), (14, 14)).shape
    torch.Size([2, 8, 14, 14])
    """
    if features.shape[2] >= grid[0] and features.shape[3] >= grid[1]:
        return adaptive_avg_pool2d(features, grid)
    return interpolate(features, grid, mode="bilinear", align_corners=False)


UNSURE = (0.7, 1.2)
"""Shares of the threshold between which a teacher's map does not say what a place is."""


class DistilledPixels(DistilledLocalizer):
    """A head that has learnt a teacher's maps place by place: the probability of an object.

    Where the teacher's errors differ from image to image and objects are alike, a head too
    small to learn the errors keeps the objects. ``wsol distill`` makes runs whose localizer this
    is.

    Args:
        model: the classifier.
        options: as of ``ScoreMaps``. Features of several layers are brought to the finest grid; the
            map then takes on the outlines of a finer stage, as that of ``Prototypes``.

    Source: Siméoni et al., Unsupervised Object Localization: Observing the Background to Discover
    Objects (FOUND), CVPR 2023, section 3; there the coarse masks are of the background in a
    self-supervised transformer, here they are another localizer's.

    >>> from wsol.models import create_network
    >>> network = create_network("test_resnet", num_classes=5, pretrained=False)
    >>> localizer = DistilledPixels(network, layers=["layer3", "layer4"])
    >>> localizer.head = PixelHead(channels=288)
    >>> localizer(torch.rand(2, 3, 64, 64)).shape
    torch.Size([2, 64, 64])
    """

    name = "pixels"
    head_type = PixelHead

    def __init__(self, model: nn.Module, *arguments: Any, **options: Any) -> None:
        """Find the stage that gives the outlines."""
        super().__init__(model, *arguments, **options)
        self.affinity_layer = outline_stage(self.model, self.size)
        self.extra_layers = (self.affinity_layer,) if self.affinity_layer else ()

    def score_maps(self, forward_pass: ForwardPass, labels: Tensor) -> list[Tensor]:
        """Return one map ``(N, h, w)`` of probabilities, from all layers together."""
        logits: Tensor = self.ready_head(forward_pass.images.device)(self.features(forward_pass))
        maps = logits.sigmoid()
        return [
            follow_details(maps, forward_pass.features[self.affinity_layer])
            if self.affinity_layer
            else maps
        ]

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
    background, thing = (share * threshold for share in UNSURE)
    labels = np.full(grid, -1, np.int8)
    labels[shares >= min(thing, 1)] = 1
    labels[shares <= background] = 0
    return labels


class PSOL(DistilledLocalizer):
    """Pseudo Supervised Object Localization: a head that has learnt a teacher's boxes.

    The map of an image is its one box, filled: any threshold between 0 and 1 gives it back.
    ``wsol distill`` makes runs whose localizer this is.

    Args:
        model: the classifier.
        options: as of ``ScoreMaps``. Features of several layers are brought to the grid of the
            last.

    Source: Zhang, Cao & Wu, Rethinking the Route Towards Weakly Supervised Object Localization,
    CVPR 2020, section 3; there the regressor is a network of its own, here it is a head on the
    classifier, so that one pass gives class and box.

    >>> from wsol.models import create_network
    >>> network = create_network("test_resnet", num_classes=5, pretrained=False)
    >>> localizer = PSOL(network, layers=["layer4"])
    >>> localizer.head = BoxHead(channels=96)
    >>> localizer(torch.rand(2, 3, 64, 64)).shape
    torch.Size([2, 64, 64])
    """

    name = "psol"
    head_type = BoxHead

    def read_label(
        self, forward_pass: ForwardPass, labels: Tensor, size: tuple[int, int] | None = None
    ) -> Tensor:
        """Return the filled boxes ``(N, H, W)``; they are the same for all labels.

        Args:
            forward_pass: what the pass has seen.
            labels: int64 ``(N,)``.
            size: height and width; default: the input's.
        """
        height, width = size or forward_pass.images.shape[-2:]
        head = self.ready_head(forward_pass.images.device)
        with torch.no_grad(), full_precision(forward_pass.images.device):
            return filled(head(self.features(forward_pass)), height, width)

    def grid(self, sizes: Sequence[tuple[int, int]]) -> tuple[int, int]:
        """Return that of the last layer."""
        return sizes[-1]

    def target(
        self, heat_map: NDArray[Any], threshold: float, grid: tuple[int, int]
    ) -> NDArray[np.float32] | None:
        """Return the largest box, ``(4,)`` as shares of the image; None where there is none."""
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
        boxes: float32 ``(N, 4)``, x0 y0 x1 y1 as shares of the image.
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


class DistilledInstances(DistilledLocalizer):
    """A head that has learnt objects cut out of images and pasted together.

    Its map is the square of the depth, see ``InstanceHead``: 1 in the middle of an object, one
    quarter at its edge, times the probability of the class. Where two objects touch, the map has a
    valley, and ``objects_at`` cuts there. Of several labels each place belongs to the likeliest.
    ``wsol distill`` makes runs whose localizer this is.

    Args:
        model: the classifier.
        options: as of ``ScoreMaps``. Features of several layers are brought to the finest grid.

    Source: Dwibedi, Misra & Hebert, Cut, Paste and Learn, ICCV 2017, section 3; Bai & Urtasun,
    Deep Watershed Transform for Instance Segmentation, CVPR 2017, section 3.

    >>> from wsol.models import create_network
    >>> network = create_network("test_resnet", num_classes=5, pretrained=False)
    >>> localizer = DistilledInstances(network, layers=["layer3", "layer4"])
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
        """Return a head that has learnt nothing, see ``DistilledLocalizer.new_head``."""
        return InstanceHead(channels, num_classes=num_classes)

    def head_like(self, weights: dict[str, Tensor]) -> Head:
        """Return a head of the same shapes, see ``DistilledLocalizer.head_like``."""
        width, channels = weights["mix.weight"].shape[:2]
        return InstanceHead(channels, width, len(weights["say.bias"]) - 1)

    def read(
        self, forward_pass: ForwardPass, labels: Tensor, size: tuple[int, int] | None = None
    ) -> Tensor:
        """Return the maps ``(N, H, W)`` or ``(N, K, H, W)``.

        Args:
            forward_pass: what the pass has seen.
            labels: int64 ``(N,)``; or ``(N, K)``, -1 for none: each place is in one map alone.
            size: height and width; default: the input's.
        """
        if labels.ndim == 1:
            return super().read(forward_pass, labels, size)
        height, width = size or forward_pass.images.shape[-2:]
        with torch.no_grad(), full_precision(forward_pass.images.device):
            maps, shares = self._depths_and_classes(forward_pass)
            rows = torch.arange(len(labels), device=labels.device)[:, None]
            chosen = shares[rows, labels.clamp(min=0)]
            owned = share_places(maps[:, None], chosen, labels) * chosen
            sized = [resized(own, (height, width), self.interpolation) for own in owned.unbind(1)]
            return torch.stack(sized, 1)

    def score_maps(self, forward_pass: ForwardPass, labels: Tensor) -> list[Tensor]:
        """Return one map ``(N, h, w)``: squared depths times the label's probability."""
        maps, shares = self._depths_and_classes(forward_pass)
        return [maps * shares[torch.arange(len(labels), device=labels.device), labels]]

    def _depths_and_classes(self, forward_pass: ForwardPass) -> tuple[Tensor, Tensor]:
        """Return squared depths ``(N, h, w)`` and probabilities of classes ``(N, C, h, w)``."""
        said: Tensor = self.ready_head(forward_pass.images.device)(self.features(forward_pass))
        return said[:, 0].sigmoid() ** 2, said[:, 1:].sigmoid()
