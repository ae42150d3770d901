"""Combination of localizers and test-time augmentation, and refinement of maps by features."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from math import ceil, sqrt

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, interpolate, normalize

from wsol.errors import ConfigError
from wsol.localizers._forward import ForwardPass, Images, layer_root
from wsol.localizers._layers import MAX_PLACES, stage_before
from wsol.localizers.base import (
    Interpolation,
    Labels,
    Localized,
    ScoreMaps,
    Size,
    chosen_labels,
    observe_for,
    resized,
)
from wsol.models.heads import FLAT, scaled_maps
from wsol.models.layout import side_step
from wsol.models.utils import find_layer
from wsol.options import Scale, checked

POWER = 4
"""Exponent of the cosine between a position and the cells whose scores it averages."""

DETAIL_SHARE = 0.6
"""Weight of the refined map in the log-linear mean; the rest is the coarse map's."""


def follow_features(maps: Tensor, features: Tensor) -> Tensor:
    """Refine maps: the score at each position becomes the mean over all similar positions.

    Similarity is the cosine of the features after subtracting the image's mean; negative cosines
    count as zero. This is one step of a random walk.

    Args:
        maps: float32 ``(N, h, w)``.
        features: float32 ``(N, C, h, w)``.

    Source: Ahn & Kwak, Learning Pixel-level Semantic Affinity with Image-level Supervision for
    Weakly Supervised Semantic Segmentation, CVPR 2018, equations 5 and 6; there the affinity is
    learned, here it is computed from the classifier's features.

    >>> features = torch.tensor([[[[1.0, 1.0, -1.0]]]])
    >>> follow_features(torch.tensor([[[0.0, 1.0, 0.5]]]), features)
    tensor([[[0.5000, 0.5000, 0.5000]]])
    """
    points = features.flatten(2)
    mean = points.mean(2, keepdim=True)
    centred = points - mean
    # The mean of a constant channel has a rounding error, which has no direction.
    varies = centred.abs().amax(2, keepdim=True) > FLAT * mean.abs()
    points = normalize(centred * varies, dim=1)
    # If all features are equal, no positions are similar, and the map is unchanged.
    return mean_by_cosine(points, points, maps, maps)


def follow_details(maps: Tensor, details: Tensor) -> Tensor:
    """Upsample maps to the grid of finer features, with the outlines of these features.

    Each position of the finer grid takes the mean of the coarse map's scores over all cells,
    weighted by the fourth power of the cosine between its features and the mean features of the
    cell. The result is the geometric mean of that, scaled to [0, 1], and of the enlarged coarse
    map: positions that look like the object and lie where the coarse map is high.

    Args:
        maps: float32 ``(N, h, w)`` in [0, 1].
        details: finer features, float32 ``(N, C, H, W)``.

    Returns:
        float32 ``(N, H, W)`` in [0, 1]; at half that height and width, or less, if there were more
        than ``MAX_PLACES`` positions.

    Source: joint upsampling (Kopf et al., SIGGRAPH 2007, equation 3), with features for colours and
    without a spatial kernel, which the enlarged map replaces.
    """
    height, width = details.shape[2:]
    step = ceil(sqrt(height * width / MAX_PLACES))
    grid = (ceil(height / step), ceil(width / step))
    details = adaptive_avg_pool2d(details, grid)
    cells = adaptive_avg_pool2d(details, (maps.shape[1], maps.shape[2])).flatten(2)
    mean = cells.mean(2, keepdim=True)
    keys, places = (normalize(each - mean, dim=1) for each in (cells, details.flatten(2)))
    # A position without similar cells keeps its score.
    own = interpolate(maps[:, None], grid, mode="bilinear", align_corners=False)[:, 0]
    followed = mean_by_cosine(places, keys, maps, own, POWER)
    return own ** (1 - DETAIL_SHARE) * scaled_maps(followed) ** DETAIL_SHARE


def mean_by_cosine(
    places: Tensor, keys: Tensor, scores: Tensor, otherwise: Tensor, power: int = 1
) -> Tensor:
    """Return the mean score of the keys at each place, weighted by a power of positive cosines.

    Args:
        places: unit vectors, ``(N, C, H * W)``.
        keys: unit vectors, ``(N, C, h * w)``.
        scores: scores of the keys, ``(N, h, w)``.
        otherwise: scores of places without similar keys, ``(N, H, W)``.
        power: 1, 2 or 4.
    """
    # Weighted sums and sums of weights.
    stacked = torch.stack((scores.flatten(1), torch.ones_like(scores).flatten(1)), 2)
    if torch.compiler.is_exporting():
        # The batch size is dynamic in an exported model.
        sums = (places.mT @ keys).relu() ** power @ stacked
    else:
        # One image at a time, as its matrix stays in the processor's cache.
        sums = torch.stack(
            [
                _power((place.T @ key).relu_(), power) @ each
                for place, key, each in zip(places, keys, stacked, strict=True)
            ]
        )
    total, share = sums.unbind(2)
    return torch.where(share > 0, total / share, otherwise.flatten(1)).reshape(otherwise.shape)


def _power(cosines: Tensor, power: int) -> Tensor:
    """Raise in place by squaring, which is faster than the general power."""
    return cosines if power == 1 else _power(cosines.square_(), power // 2)


def with_outlines(maps: Tensor, forward_pass: ForwardPass, layer: str | None) -> Tensor:
    """Return maps that follow the details of a layer; unchanged without a layer."""
    return follow_details(maps, forward_pass.features[layer]) if layer else maps


log = logging.getLogger("wsol")


class Ensemble(ScoreMaps):
    """Geometric mean of multiple localizers' maps, averaged over flipped and resized images.

    The localizers share one forward pass per augmented image. Their maps are each scaled to [0, 1];
    the geometric mean is high where all of them are, as at salient parts of a class.

    Args:
        localizers: one or more localizers of the same model.
        affinity: layer whose features refine the map: the result is the geometric mean of the map
            and its refinement by ``follow_features``, each scaled to [0, 1], at the size of these
            features. ``auto`` selects the second to last stage; empty: no refinement.
        flip: average over the image and its mirror image.
        scales: sides of the resized images relative to the input; sizes are rounded to multiples of
            32 pixels, or of the patch size if that does not divide 32. Labels and logits are those
            of the first size.
        classes: localizer for multi-label images: each position belongs to the label with the
            highest map of this localizer; default: the maps of multiple labels may overlap, and are
            identical if no localizer is class-specific.
        interpolation: interpolation of the maps to the input size.

    Raises:
        ConfigError: localizers of different models, or a scale that is not positive.

    >>> from wsol.localizers import create_localizer
    >>> from wsol.models import create_network
    >>> network = create_network("test_resnet", num_classes=5, pretrained=False)
    >>> localizer = create_localizer("cam*feature_norm", network, flip=True, scales=(1, 1.5))
    >>> localizer(torch.rand(2, 3, 64, 64)).shape
    torch.Size([2, 64, 64])
    """

    def __init__(
        self,
        localizers: Sequence[ScoreMaps],
        *,
        affinity: str = "",
        flip: bool = False,
        scales: Sequence[float] = (),
        classes: ScoreMaps | None = None,
        interpolation: Interpolation = "bicubic",
    ) -> None:
        """Store the localizers."""
        self.localizers, self.flip, self.classes = list(localizers), flip, classes
        self.scales: tuple[float, ...] = checked("scales", scales, tuple[Scale, ...]) or (1.0,)
        self.model, self.interpolation = self.localizers[0].model, interpolation
        if affinity == "auto":
            affinity = stage_before(self.model, self.localizers[0].image_size)
            log.info("affinity layer: %s", affinity)
        elif affinity:
            find_layer(layer_root(self.model), affinity)
        self.affinity = affinity
        layers = (layer for each in self.localizers for layer in each.layers)
        self.layers = tuple(dict.fromkeys(layers))
        self.needs_fit = any(each.needs_fit for each in self.localizers)
        self.uses_augmentation = flip or self.scales != (1,)
        self.sees_classes = any(each.sees_classes for each in self.localizers)
        readers = [*self.localizers, *([classes] if classes else [])]
        self.needs_gradients = any(each.needs_gradients for each in readers)
        self.needs_attention = any(each.needs_attention for each in readers)
        more = [affinity, *(layer for each in readers for layer in each.extra_layers)]
        more += classes.layers if classes else ()
        self.extra_layers = tuple(dict.fromkeys(filter(None, more)))
        outlines = (each.affinity_layer for each in self.localizers)
        self.affinity_layer = next(filter(None, outlines), None)

    def why_not_exportable(self) -> str:
        """Return the reason of the first localizer that cannot be exported."""
        return next(filter(None, (each.why_not_exportable() for each in self.localizers)), "")

    def fit(self, batches: Iterable[Images]) -> None:
        """Fit the localizers that need it to a collection of images, with all augmentations."""
        images = list(batches) if sum(each.needs_fit for each in self.localizers) > 1 else batches
        for each in self.localizers:
            if each.needs_fit:
                each.fit(image for batch in images for image in self._augmentations(batch))

    def state(self) -> dict[str, Tensor]:
        """Return the fitted state as tensors by name."""
        return {name: value for each in self.localizers for name, value in each.state().items()}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Load the state of an earlier ``fit``."""
        for each in self.localizers:
            each.load_state(state)

    def locate(self, images: Images, labels: Labels = None) -> Localized:
        """Return logits and labels of the first augmentation, and the mean of all maps."""
        source = images.source if isinstance(images, ForwardPass) else images
        size = (source.shape[-2], source.shape[-1])
        first, *others = self._augmentations(images)
        forward_pass = observe_for([self], first)
        chosen = chosen_labels(labels, forward_pass.logits)
        logits, total = forward_pass.logits, self.read(forward_pass, chosen, size)
        for number, augmented in enumerate(others, 1):
            forward_pass = observe_for([self], augmented)
            maps = self.read(forward_pass, chosen, size)
            total += maps.flip(-1) if self.flip and number % 2 else maps
        return Localized(logits, chosen, total / (1 + len(others)))

    def observe(self, images: Images) -> ForwardPass:
        """Return the forward passes of all augmentations, for multiple calls of ``locate``."""
        first, *others = (observe_for([self], each) for each in self._augmentations(images))
        first.augmented = others
        if not isinstance(images, ForwardPass):
            first.source = images
        return first

    def multi_label_maps(self, forward_pass: ForwardPass, labels: Tensor, size: Size) -> Tensor:
        """Return the maps ``(N, K, H, W)`` of labels ``(N, K)``, of one augmentation."""
        if self.classes is None:
            return super().multi_label_maps(forward_pass, labels, size)
        known = labels if self.sees_classes else labels[:, :1]
        maps = super().multi_label_maps(forward_pass, known, size)
        return share_places(maps, self.classes.read(forward_pass, labels, size), labels)

    def label_maps(self, forward_pass: ForwardPass, labels: Tensor, size: Size) -> Tensor:
        """Return the maps ``(N, H, W)`` of labels ``(N,)``, of one augmentation."""
        if not self.affinity:
            return resized(self._mean(forward_pass, labels), size, self.interpolation)
        features = forward_pass.features[self.affinity]
        grid = (features.shape[2], features.shape[3])
        own = scaled_maps(self._mean(forward_pass, labels, grid))
        both = geometric_mean([own, scaled_maps(follow_features(own, features))])
        return resized(both, size, self.interpolation)

    def _mean(self, forward_pass: ForwardPass, labels: Tensor, size: Size | None = None) -> Tensor:
        maps = [scaled_maps(each.read(forward_pass, labels, size)) for each in self.localizers]
        return geometric_mean(maps)

    def _augmentations(self, images: Images) -> Iterator[Images]:
        if isinstance(images, ForwardPass):
            if self.uses_augmentation and images.augmented is None:
                raise ConfigError("a stored forward pass cannot be augmented; pass images")
            yield from (images, *(images.augmented or ()))
            return
        step = side_step(layer_root(self.model))
        for scale in self.scales:
            size = [max(round(side * scale / step), 1) * step for side in images.shape[-2:]]
            augmented = images
            if scale != 1:
                augmented = interpolate(images, size, mode="bilinear", antialias=scale < 1)
            yield augmented
            if self.flip:
                yield augmented.flip(-1)


def geometric_mean(maps: Sequence[Tensor]) -> Tensor:
    """Return the geometric mean of maps of one shape; negative values count as zero.

    >>> geometric_mean([torch.tensor([4.0, 1.0]), torch.tensor([9.0, -1.0])])
    tensor([6., 0.])
    """
    product: Tensor = torch.stack([each.clamp(min=0) for each in maps]).prod(0)
    return product ** (1 / len(maps))


def share_places(maps: Tensor, class_maps: Tensor, labels: Tensor) -> Tensor:
    """Return maps ``(N, K, H, W)`` in which each position belongs to the map of one class only.

    Args:
        maps: float32 ``(N, K, H, W)``, or class-agnostic ``(N, 1, H, W)``; their minimum is zero.
        class_maps: maps of each label, float32 ``(N, K, H, W)``.
        labels: int64 ``(N, K)``; -1 for images with fewer than K.

    >>> maps, class_maps = torch.tensor([[[[5.0, 7.0]]]]), torch.tensor([[[[1.0, 0]], [[0.5, 2]]]])
    >>> share_places(maps, class_maps, torch.tensor([[3, 1]])).tolist()
    [[[[5.0, 0.0]], [[0.0, 7.0]]]]
    """
    known = class_maps.masked_fill((labels < 0)[:, :, None, None], -torch.inf)
    return maps * (known == known.amax(1, keepdim=True))
