"""Localizers with a head distilled from another localizer: pixels, psol and instances."""

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
from wsol.localizers.base import ScoreMaps, Size, resized, without_prefix
from wsol.localizers.distilled_heads import BoxHead, Head, InstanceHead, PixelHead
from wsol.localizers.ensemble import share_places, with_outlines
from wsol.maps import boxes_at
from wsol.types import Normalization


class DistilledLocalizer(ScoreMaps):
    """Base class of localizers trained by ``wsol distill``.

    Attributes:
        name: localizer name, and prefix of the names in its state.
        normalization: scaling of its maps to [0, 1]; minmax leaves it to the threshold.
        head_type: class of the head.
        head: trained head; None before training.
    """

    needs_fit = True
    sees_classes = False
    name: str
    normalization: Normalization = "minmax"
    head_type: type[Head]
    head: Head | None = None

    def fit(self, batches: Iterable[Images]) -> None:
        """Raise an error: the head cannot be fitted to images alone.

        Raises:
            ConfigError: always.
        """
        self.ready_head()

    def state(self) -> dict[str, Tensor]:
        """Return the head's weights by name."""
        head = self.ready_head().state_dict()
        return {f"{self.name}.{name}": value for name, value in head.items()}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Load the weights of a trained head.

        Raises:
            ConfigError: there are no weights, or their shapes do not match.
        """
        own = without_prefix(state, f"{self.name}.")
        try:
            head = self.head_like(own)
            head.load_state_dict(own)
        except (KeyError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise ConfigError(f"not the weights of a {self.name} head: {reason}") from error
        self.head = head

    def new_head(self, channels: int, num_classes: int) -> Head:
        """Return an untrained head for features; most heads do not depend on the classes."""
        return self.head_type(channels)

    def head_like(self, weights: dict[str, Tensor]) -> Head:
        """Return a head with the shapes of given weights."""
        width, channels = weights["mix.weight"].shape[:2]
        return self.head_type(channels, width)

    def ready_head(self, device: torch.device | None = None) -> Head:
        """Return the head, moved to a device if one is given.

        Raises:
            ConfigError: the head is not trained.
        """
        if self.head is None:
            raise ConfigError(
                f"{self.name}: the head is not trained; run wsol distill RUN --out NEW "
                f"--student {self.name}, and use the new run's localizer, layers and affinity"
            )
        if device is not None and self.head.mean.device != device:
            self.head.to(device)
        return self.head

    def features(self, forward_pass: ForwardPass) -> Tensor:
        """Return the head's input, float32 ``(N, C, h, w)``: all layers on one grid."""
        seen = forward_pass.features
        maps = [seen[layer] for layer in self.layers]
        grid = self.grid([(each.shape[2], each.shape[3]) for each in maps])
        return torch.cat([on_grid(each, grid) for each in maps], dim=1)

    def head_output(self, forward_pass: ForwardPass) -> Tensor:
        """Return what the head computes from a forward pass."""
        output: Tensor = self.ready_head(forward_pass.images.device)(self.features(forward_pass))
        return output

    def grid(self, sizes: Sequence[Size]) -> Size:
        """Return height and width of the grid that the features of all layers are resized to.

        By default it is the finest of the layers' sizes, as outlines are visible there.
        """
        return max(sizes, key=lambda size: size[0] * size[1])

    def target(self, heat_map: NDArray[Any], threshold: float, grid: Size) -> NDArray[Any] | None:
        """Return the training target of an image; None if it has no object to train on.

        Args:
            heat_map: teacher's heat map, float32 ``(H, W)`` in [0, 1].
            threshold: fraction of its maximum above which a pixel belongs to the object.
            grid: height and width of the features.
        """
        raise NotImplementedError

    def mirrored(self, target: NDArray[Any]) -> NDArray[Any]:
        """Return the target of the mirror image."""
        raise NotImplementedError


def on_grid(features: Tensor, grid: Size) -> Tensor:
    """Resize features ``(N, C, h, w)``: mean of merged positions when smaller, else bilinear."""
    if features.shape[2] >= grid[0] and features.shape[3] >= grid[1]:
        return adaptive_avg_pool2d(features, grid)
    return interpolate(features, grid, mode="bilinear", align_corners=False)


UNSURE = (0.7, 1.2)
"""Range, as fractions of the threshold, in which positions of a teacher's map are ignored."""


class DistilledPixels(DistilledLocalizer):
    """Head trained on a teacher's maps position by position: the probability of an object.

    If the teacher's errors differ between images while objects look alike, a head too small to
    learn the errors learns the objects. Features of multiple layers are resized to the finest grid;
    the map is then refined with the outlines of a finer stage, as in ``Prototypes``.

    Source: Siméoni et al., Unsupervised Object Localization: Observing the Background to Discover
    Objects (FOUND), CVPR 2023, section 3; there the coarse masks are of the background in a
    self-supervised transformer, here they come from another localizer.

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
        """Find the stage that provides the outlines."""
        super().__init__(model, *arguments, **options)
        self.affinity_layer = outline_stage(self.model, self.image_size)
        self.extra_layers = (self.affinity_layer,) if self.affinity_layer else ()

    def score_maps(self, forward_pass: ForwardPass, labels: Tensor) -> list[Tensor]:
        """Return one map ``(N, h, w)`` of probabilities, from all layers together."""
        maps = self.head_output(forward_pass).sigmoid()
        return [with_outlines(maps, forward_pass, self.affinity_layer)]

    def target(self, heat_map: NDArray[Any], threshold: float, grid: Size) -> NDArray[np.int8]:
        """Return the labels of positions by the teacher's map, see ``sure_places``."""
        return sure_places(heat_map, threshold, grid)

    def mirrored(self, target: NDArray[Any]) -> NDArray[Any]:
        """Return the labels of the mirror image's positions."""
        return np.flip(target, -1)


def sure_places(heat_map: NDArray[np.float32], threshold: float, grid: Size) -> NDArray[np.int8]:
    """Return which positions of a grid are object (1), background (0) or ambiguous (-1).

    The position with the maximum is always object.

    Args:
        heat_map: ``(H, W)`` in [0, 1], not zero everywhere.
        threshold: fraction of the maximum above which a position belongs to the object.
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
    """Pseudo Supervised Object Localization: a head trained on a teacher's boxes.

    The map of an image is its one box, filled: any threshold between 0 and 1 returns the box.
    Features of multiple layers are resized to the grid of the last one.

    Source: Zhang, Cao & Wu, Rethinking the Route Towards Weakly Supervised Object Localization,
    CVPR 2020, section 3; there the regressor is a separate network, here it is a head on the
    classifier, so that one forward pass gives class and box.

    >>> from wsol.models import create_network
    >>> network = create_network("test_resnet", num_classes=5, pretrained=False)
    >>> localizer = PSOL(network, layers=["layer4"])
    >>> localizer.head = BoxHead(channels=96)
    >>> localizer(torch.rand(2, 3, 64, 64)).shape
    torch.Size([2, 64, 64])
    """

    name = "psol"
    head_type = BoxHead

    def label_maps(self, forward_pass: ForwardPass, labels: Tensor, size: Size) -> Tensor:
        """Return the filled boxes ``(N, H, W)``, identical for all labels."""
        return filled(self.head_output(forward_pass), *size)

    def grid(self, sizes: Sequence[Size]) -> Size:
        """Return the grid of the last layer."""
        return sizes[-1]

    def target(
        self, heat_map: NDArray[Any], threshold: float, grid: Size
    ) -> NDArray[np.float32] | None:
        """Return the largest box as fractions of the image, ``(4,)``; None without boxes."""
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
    """Return maps ``(N, H, W)`` with the fraction of each pixel that is inside a box.

    If a box covers all pixels, the first pixel is set to zero: a constant map has no object. Boxes
    ``(N, 4)`` are x0 y0 x1 y1 as fractions of the image.

    >>> filled(torch.tensor([[0.25, 0.0, 0.625, 0.5]]), 2, 4).tolist()
    [[[0.0, 1.0, 0.5, 0.0], [0.0, 0.0, 0.0, 0.0]]]
    """
    rows = _covered(boxes[:, 1] * height, boxes[:, 3] * height, height)
    columns = _covered(boxes[:, 0] * width, boxes[:, 2] * width, width)
    maps = rows[:, :, None] * columns[:, None, :]
    maps[:, 0, 0] *= maps.amin((1, 2)) <= 0
    return maps


def _covered(start: Tensor, end: Tensor, count: int) -> Tensor:
    """Return the covered fraction of each of ``count`` pixels in a row, ``(N, count)``."""
    left = torch.arange(count, device=start.device)
    return (end[:, None].minimum(left + 1) - start[:, None].maximum(left)).clamp(min=0)


class DistilledInstances(DistilledLocalizer):
    """Head trained on composites of objects pasted together.

    Its map is the squared depth, see ``InstanceHead``: 1 at the center of an object, 0.25 at its
    edge, multiplied by the class probability. Where two objects touch, the map has a valley, at
    which ``objects_at`` separates them. With multiple labels, each position belongs to the most
    probable one. Features of multiple layers are resized to the finest grid.

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
    """The levels are absolute: 0.25 is the edge of an object."""

    def new_head(self, channels: int, num_classes: int) -> Head:
        """Return an untrained head."""
        return InstanceHead(channels, num_classes=num_classes)

    def head_like(self, weights: dict[str, Tensor]) -> Head:
        """Return a head with the shapes of given weights."""
        width, channels = weights["mix.weight"].shape[:2]
        return InstanceHead(channels, width, len(weights["say.bias"]) - 1)

    def multi_label_maps(self, forward_pass: ForwardPass, labels: Tensor, size: Size) -> Tensor:
        """Return the maps ``(N, K, H, W)`` of labels ``(N, K)``; each position is in one map."""
        maps, shares = self._depths_and_classes(forward_pass)
        rows = torch.arange(len(labels), device=labels.device)[:, None]
        chosen = shares[rows, labels.clamp(min=0)]
        owned = share_places(maps[:, None], chosen, labels) * chosen
        return torch.stack([resized(own, size, self.interpolation) for own in owned.unbind(1)], 1)

    def score_maps(self, forward_pass: ForwardPass, labels: Tensor) -> list[Tensor]:
        """Return one map ``(N, h, w)``: squared depth times the label's probability."""
        maps, shares = self._depths_and_classes(forward_pass)
        return [maps * shares[torch.arange(len(labels), device=labels.device), labels]]

    def _depths_and_classes(self, forward_pass: ForwardPass) -> tuple[Tensor, Tensor]:
        """Return squared depths ``(N, h, w)`` and class probabilities ``(N, C, h, w)``."""
        said = self.head_output(forward_pass)
        return said[:, 0].sigmoid() ** 2, said[:, 1:].sigmoid()
