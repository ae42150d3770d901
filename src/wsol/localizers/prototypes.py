"""Prototype localizer: object and background prototypes shared by similar images."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, normalize

from wsol.errors import ConfigError
from wsol.localizers._forward import ForwardPass, Images
from wsol.localizers._layers import last_stage, outline_stage, stage_before
from wsol.localizers.base import ScoreMaps, observe_for, without_prefix
from wsol.localizers.cam import class_evidence, find_linear_layer
from wsol.localizers.ensemble import Ensemble, with_outlines
from wsol.localizers.features import FeatureNorm
from wsol.models.heads import scaled_maps
from wsol.models.utils import full_precision

DIMENSIONS = 128
"""Maximum dimensions of the descriptors that positions are compared by."""

ROUNDS = 4
"""Number of times that the prototypes are shared between images."""

OWN_WEIGHT = 0.3
"""Weight of an image's own prototypes, added to the cosines with those of the collection."""

RIDGE = 0.02
"""Fraction of the total variance that is added to the variance of each direction."""

SEED_SHARE = 0.37
"""Weight of the seed in the log-linear mean of the final map; the rest is the posterior's."""

SHARPNESS = 4.0
"""Log odds of the object at its prototype."""

COSINE_SHARPNESS = 8.0
"""Log odds per difference of cosines, before prototypes are shared."""


class Seen(NamedTuple):
    """Input of the localizer, computed from a forward pass.

    Attributes:
        features: features of each layer, float32 ``(N, C, h, w)``.
        seed: saliency of each position, float32 ``(N, h, w)`` in [0, 1].
        evidence: class evidence of each position, float32 ``(N, h, w)`` in [0, 1].
    """

    features: dict[str, Tensor]
    seed: Tensor
    evidence: Tensor


class Prototypes(ScoreMaps):
    """Posterior probability of the object, from prototypes shared by images that look alike.

    1. The seed is the feature norm of the last stage, refined by the features of the stage before
       (see ``follow_features``): a saliency map.
    2. The class evidence is the class activation map of the label and of all classes that the
       network considers likely in its place.
    3. Each position is described by the features of both stages and of the classifier's input,
       projected on their first principal components over the collection.
    4. The means of the positions with high seed and evidence, and of the others, are an image's two
       prototypes; the difference of cosines to them is its first posterior.
    5. The geometric mean of seed and posterior gives new weights of the positions. The new
       prototypes are averaged with those of the images in the collection, weighted by the
       similarity of their objects; a linear discriminant between the averages, with the
       within-class covariance of objects and backgrounds over the collection, is the next
       posterior. This is repeated four times.
    6. The map is refined with the outlines of a finer stage, if there is one (see ``outline_stage``
       and ``follow_details``).

    A network without a linear classifier on its last features has no class evidence; the seed is
    used instead, and all labels have the same map.

    Args:
        model: classifier.
        layers: one or two layers, the finer first: the last gives the seed, the first refines it
            and defines the grid of positions; default: the last two stages.
        options: see ``ScoreMaps``.

    Source: the prototypes follow Snell et al., Prototypical Networks for Few-shot Learning,
    NeurIPS 2017, equations 1 and 2, the discriminant is Fisher's with a ridge (Friedman,
    Regularized Discriminant Analysis, JASA 1989, section 3); sharing them between images and
    finding them without position labels is original work. docs/localizers.md has the measurements.

    >>> from wsol.models import create_network
    >>> network = create_network("test_resnet", num_classes=5, pretrained=False)
    >>> images = torch.rand(4, 3, 64, 64)
    >>> localizer = Prototypes(network)
    >>> localizer.fit([images[:2], images[2:]])
    >>> localizer(images).shape
    torch.Size([4, 64, 64])
    """

    needs_fit = True
    separates_labels = False
    needs_classes = False

    def __init__(self, model: nn.Module, *arguments: Any, **options: Any) -> None:
        """Find the layers and the classifier."""
        super().__init__(model, *arguments, **options)
        norm = FeatureNorm(self.model, self.layers[-1:], image_size=self.image_size)
        self.seed = Ensemble([norm], affinity=self.layers[0])
        self.affinity_layer = outline_stage(self.model, self.image_size)
        self.linear = find_linear_layer(self.model, self.image_size)
        self.sees_classes = self.linear is not None
        more = (self.linear.layer if self.linear else None, self.affinity_layer)
        self.extra_layers = tuple(layer for layer in more if layer)
        self.fitted: dict[str, Tensor] = {}

    def default_layers(self) -> tuple[str, ...]:
        """Return the last two stages, the finer first."""
        stages = (
            stage_before(self.model, self.image_size),
            last_stage(self.model, self.image_size),
        )
        return tuple(dict.fromkeys(stages))

    def fit(self, batches: Iterable[Images]) -> None:
        """Compute the principal components and the prototypes of a collection.

        All batches stay in memory until the end.
        """
        with torch.no_grad():
            seen = [self._observe(images) for images in batches]
            if not seen:
                raise ConfigError("prototypes is not fitted; pass at least one batch to fit")
            with full_precision(seen[0].seed.device):
                whole = finite_images(seen)
                self.fitted = principal_components(whole.features, whole.seed.shape[1:])
                self._posterior(whole)

    def state(self) -> dict[str, Tensor]:
        """Return the fitted state as tensors by name."""
        return {f"prototypes.{name}": value for name, value in self.fitted.items()}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Load the state of an earlier ``fit``, which must be of the same layers."""
        own = without_prefix(state, "prototypes.")
        for name in self._layers():
            if f"basis.{name}" not in own:
                raise ConfigError(
                    f"prototypes was fitted at other layers than {name}; fit it again"
                )
        self.fitted = own

    def score_maps(self, forward_pass: ForwardPass, labels: Tensor) -> list[Tensor]:
        """Return one map ``(N, h, w)`` in [0, 1], from all layers together."""
        if not self.fitted:
            raise ConfigError("prototypes is not fitted; call fit with batches of images first")
        maps = self._posterior(self.observe_places(forward_pass, labels))
        return [with_outlines(maps, forward_pass, self.affinity_layer)]

    def _layers(self) -> tuple[str, ...]:
        """Return the names of the layers that describe positions."""
        return (*self.layers, *(("classifier",) if self.linear else ()))

    def _observe(self, images: Images) -> Seen:
        forward_pass = observe_for([self], images)
        with full_precision(images.device):
            return self.observe_places(forward_pass, forward_pass.logits.argmax(1))

    def observe_places(self, forward_pass: ForwardPass, labels: Tensor) -> Seen:
        """Compute the input of the localizer from a forward pass, for labels ``(N,)``."""
        features = forward_pass.features
        seen = {layer: features[layer] for layer in self.layers}
        grid = (seen[self.layers[0]].shape[2], seen[self.layers[0]].shape[3])
        seed = scaled_maps(self.seed.read(forward_pass, labels, grid)).clamp(0, 1)
        if self.linear is None:
            return Seen(seen, seed, torch.ones_like(seed))
        seen["classifier"] = self.linear.features(forward_pass)
        return Seen(seen, seed, class_evidence(self.linear, forward_pass, labels, seed))

    def _posterior(self, seen: Seen) -> Tensor:
        """Return the maps ``(N, h, w)``; while fitting, store the prototypes of each round."""
        fitted = {name: value.to(seen.seed) for name, value in self.fitted.items()}
        seed = seen.seed
        points = describe(seen.features, fitted, (seed.shape[1], seed.shape[2]))
        weights = seed * seen.evidence, (1 - seed) ** 2 + (seed * (1 - seen.evidence)) ** 2
        maps = scaled_maps((seed * cosine_posterior(points, *weights)) ** 0.5)
        for number in range(ROUNDS):
            inside, outside = maps**2, (1 - maps) ** 2
            own = torch.stack((mean_point(points, inside), mean_point(points, outside)))
            names = f"prototypes.{number}", f"inverse.{number}"
            if names[0] not in fitted:
                inverse = inverse_covariance(points, (inside, outside), own)
                fitted |= dict(zip(names, (own, inverse), strict=True))
                self.fitted = fitted
            shared = share_prototypes(own, fitted[names[0]])
            posterior = discriminant_posterior(points, shared, fitted[names[1]]).reshape(seed.shape)
            maps = scaled_maps(seed**SEED_SHARE * posterior ** (1 - SEED_SHARE))
        return maps


def finite_images(seen: list[Seen]) -> Seen:
    """Concatenate batches, without images that have non-finite values.

    All are resized to the grids of the first batch, as augmented images may differ in size. If no
    image is finite, all are kept, with zeros for non-finite values.
    """
    features = {
        name: torch.cat([on_grid(each.features[name], maps.shape[2:]) for each in seen])
        for name, maps in seen[0].features.items()
    }
    grid = seen[0].seed.shape[1:]
    seed, evidence = (
        torch.cat([on_grid(getattr(each, name)[:, None], grid)[:, 0] for each in seen])
        for name in Seen._fields[1:]
    )
    finite = seed.flatten(1).isfinite().all(1)
    for maps in features.values():
        finite &= maps.flatten(1).isfinite().all(1)
    kept = torch.where(finite.any(), finite, True)
    chosen = {name: maps[kept].nan_to_num() for name, maps in features.items()}
    return Seen(chosen, seed[kept].nan_to_num(), evidence[kept].nan_to_num())


def principal_components(
    features: dict[str, Tensor], grid: tuple[int, ...], dimensions: int = DIMENSIONS
) -> dict[str, Tensor]:
    """Return the projection of features on the first principal components over a collection.

    The layers are centred, scaled to equal mean squares, and resized to a grid, of which every
    second row and column is used. The components are those of a subspace iteration, nearly exact
    for the leading components (Halko et al., SIAM Review 2011, algorithm 4.4).

    The result is ``basis.LAYER`` ``(C, D)`` for each layer, and ``offset`` ``(D,)``, to be
    subtracted.
    """
    means, scales, columns = {}, {}, []
    for name, maps in features.items():
        means[name] = maps.mean((0, 2, 3))
        centred = maps - means[name][:, None, None]
        scales[name] = centred.square().sum(1).mean().sqrt().clamp(min=1e-12)
        sampled = on_grid(centred / scales[name], grid)[:, :, ::2, ::2]
        columns.append(sampled.transpose(0, 1).flatten(1).T)
    points = torch.cat(columns, 1)
    number = min(dimensions, *points.shape)
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(points.shape[1], min(number + 8, *points.shape), generator=generator)
    subspace = torch.linalg.qr(start.to(points)).Q
    for _ in range(3):
        subspace = torch.linalg.qr(points.T @ (points @ subspace)).Q
    inside = points @ subspace
    basis = subspace @ torch.linalg.eigh(inside.T @ inside).eigenvectors[:, -number:]
    parts = basis.split([maps.shape[1] for maps in features.values()])
    bases = {name: part / scales[name] for name, part in zip(features, parts, strict=True)}
    offset = torch.stack([means[name] @ part for name, part in bases.items()]).sum(0)
    return {f"basis.{name}": part for name, part in bases.items()} | {"offset": offset}


def on_grid(maps: Tensor, grid: tuple[int, ...]) -> Tensor:
    """Resize maps ``(N, C, h, w)`` to another height and width, bilinear."""
    if tuple(maps.shape[2:]) == tuple(grid):
        return maps
    return interpolate(maps, tuple(grid), mode="bilinear", align_corners=False)


def describe(
    features: dict[str, Tensor], fitted: dict[str, Tensor], grid: tuple[int, int]
) -> Tensor:
    """Return the descriptors ``(N, h * w, D)`` of all positions of a grid, for a fitted basis."""
    total = -fitted["offset"][None, :, None, None]
    for name, maps in features.items():
        # Projecting first gives the same result with fewer channels to resize.
        total = total + on_grid(torch.einsum("nchw,cd->ndhw", maps, fitted[f"basis.{name}"]), grid)
    return total.flatten(2).mT


def _shares(weights: Tensor) -> Tensor:
    """Return weights ``(N, h, w)`` as shares ``(N, h * w)`` of their sum, if it is positive."""
    flat = weights.flatten(1)
    return flat / flat.sum(1, keepdim=True).clamp(min=1e-9)


def mean_point(points: Tensor, weights: Tensor) -> Tensor:
    """Return the means ``(N, D)`` of points ``(N, P, D)`` by weights ``(N, h, w)``."""
    return (_shares(weights)[:, None] @ points)[:, 0]


def cosine_posterior(points: Tensor, inside: Tensor, outside: Tensor) -> Tensor:
    """Return the object posterior ``(N, h, w)`` from cosines to object and background means.

    Each image's mean is subtracted from its points ``(N, P, D)``; ``inside`` and ``outside`` are
    the weights ``(N, h, w)`` of its positions in the object and in the background.
    """
    centred = points - points.mean(1, keepdim=True)
    means = [normalize(mean_point(centred, weights), dim=1) for weights in (inside, outside)]
    cosines = (normalize(centred, dim=2) @ (means[0] - means[1])[:, :, None])[..., 0]
    return (COSINE_SHARPNESS * cosines).sigmoid().reshape(inside.shape)


def inverse_covariance(points: Tensor, weights: tuple[Tensor, Tensor], means: Tensor) -> Tensor:
    """Return the inverse covariance ``(D, D)`` of points around the means of their images.

    Weights ``(N, h, w)`` and means ``(N, D)`` are of objects, then of backgrounds.
    """
    total = points.new_zeros(points.shape[2], points.shape[2])
    for each, own in zip(weights, means, strict=True):
        scaled = ((points - own[:, None]) * _shares(each).sqrt()[..., None]).flatten(0, 1)
        total += scaled.T @ scaled / (2 * len(points))
    ridge = RIDGE * total.diagonal().sum().clamp(min=1e-12)
    return torch.cholesky_inverse(
        torch.linalg.cholesky(total + ridge * torch.eye(len(total), device=total.device))
    )


def share_prototypes(own: Tensor, others: Tensor) -> Tensor:
    """Return the means of prototypes over images, weighted by the cosines between their objects.

    Prototypes are of objects and backgrounds: an image's ``own`` ones, ``(2, N, D)``, and those of
    the collection, ``(2, B, D)``. Images whose object resembles no other mostly keep their own.
    """
    cosines = normalize(own[0], dim=1) @ normalize(others[0], dim=1).T
    shares = cosines.clamp(min=0)
    return (OWN_WEIGHT * own + shares @ others) / (OWN_WEIGHT + shares.sum(1, keepdim=True))


def discriminant_posterior(points: Tensor, means: Tensor, inverse: Tensor) -> Tensor:
    """Return the object posterior ``(N, P)`` of a linear discriminant for points ``(N, P, D)``.

    The log odds are zero half way between the means ``(2, N, D)`` of objects and backgrounds, and
    ``SHARPNESS`` at the object's mean. The within-class covariance's inverse is ``(D, D)``.
    """
    direction = (means[0] - means[1]) @ inverse
    middle = (direction * (means[0] + means[1])).sum(1, keepdim=True) / 2
    half = (direction * (means[0] - means[1])).sum(1, keepdim=True) / 2
    along = (points @ direction[:, :, None])[..., 0] - middle
    return (SHARPNESS * along / half.clamp(min=1e-6)).sigmoid()
