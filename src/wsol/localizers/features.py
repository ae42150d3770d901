"""Localizers that read features without the class: norm, Eigen-CAM and DDT."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.linalg import vector_norm
from torch.nn.functional import normalize

from wsol.errors import ConfigError
from wsol.localizers._forward import Images, observe
from wsol.localizers._layers import last_stage
from wsol.localizers.base import ScoreMaps


def first_component(points: Tensor) -> Tensor:
    """Return the direction in which points vary most, of length one.

    Args:
        points: ``(..., P, C)``; only their differences from their mean count.

    Returns:
        ``(..., C)``; which of its two signs is open.

    >>> first_component(torch.tensor([[0.0, 1], [2, 1], [4, 1]])).abs()
    tensor([1., 0.])
    """
    centred = points - points.mean(-2, keepdim=True)
    # Of the two products, the smaller one has the same eigenvalues.
    if points.shape[-2] >= points.shape[-1]:
        return leading_direction(centred.mT @ centred)
    places = leading_direction(centred @ centred.mT)
    return normalize((places.unsqueeze(-2) @ centred).squeeze(-2), dim=-1)


def leading_direction(products: Tensor) -> Tensor:
    """Return the eigenvector ``(..., C)`` of the largest eigenvalue of symmetric ``(..., C, C)``.

    It is NaN where something is not finite.

    >>> leading_direction(torch.tensor([[1.0, 0], [0, 9]])).abs()
    tensor([0., 1.])
    """
    # The solver raises an error at one such matrix, and the others had no vectors either.
    finite = products.isfinite().all(-1).all(-1)[..., None]
    vectors: Tensor = torch.linalg.eigh(products.where(finite[..., None], 0)).eigenvectors
    return vectors[..., -1].where(finite, torch.nan)


def signed_like(maps: Tensor, strengths: Tensor) -> Tensor:
    """Return maps, or their negatives where that is larger where something is stronger.

    Args:
        maps: ``(N, h, w)``.
        strengths: of the same shape.

    >>> signed_like(torch.tensor([[[0.0, -1.0]]]), torch.tensor([[[1.0, 2.0]]])).tolist()
    [[[-0.0, 1.0]]]
    """
    centred = maps - maps.mean((1, 2), keepdim=True)
    sign = (centred * strengths).sum((1, 2), keepdim=True).sign()
    return maps * sign.where(sign != 0, 1)


class FeatureNorm(ScoreMaps):
    """The length of the feature vector at each place.

    Args:
        model: the classifier.
        options: as of ``ScoreMaps``.

    Source: as the channels' sum in Wei et al., Selective Convolutional Descriptor Aggregation for
    Fine-Grained Image Retrieval, TIP 2017, section 3.2; here the root of the sum of squares, which
    needs no features above zero.

    >>> import torch
    >>> from wsol.models import create_network
    >>> network = create_network("test_resnet", num_classes=5, pretrained=False)
    >>> FeatureNorm(network)(torch.rand(2, 3, 64, 64)).shape
    torch.Size([2, 64, 64])
    """

    sees_classes = False
    needs_classes = False

    def default_layers(self) -> tuple[str, ...]:
        """Return the last stage: what is wanted is no class's own."""
        return (last_stage(self.model, self.size),)

    def layer_maps(self, features: Tensor, gradients: Tensor) -> Tensor:
        """Return maps ``(N, h, w)``, not negative."""
        lengths: Tensor = vector_norm(features, dim=1)
        return lengths


class EigenCAM(ScoreMaps):
    """EigenCAM.

    The sign of a principal component is open; here it is the one that is larger where the features
    are stronger.

    Args:
        model: the classifier.
        options: as of ``ScoreMaps``.

    Source: Muhammad & Yeasin, Eigen-CAM: Class Activation Map using Principal Components, IJCNN
    2020, equations 3 to 5; as elsewhere, the features are centred first.

    >>> from wsol.models import create_network
    >>> network = create_network("test_resnet", num_classes=5, pretrained=False)
    >>> EigenCAM(network)(torch.rand(2, 3, 64, 64)).shape
    torch.Size([2, 64, 64])
    """

    sees_classes = False
    needs_classes = False

    def default_layers(self) -> tuple[str, ...]:
        """Return the last stage: what is wanted is no class's own."""
        return (last_stage(self.model, self.size),)

    def why_not_exportable(self) -> str:
        """Return that graphs know no eigenvectors."""
        return "needs eigenvectors of each image's features"

    def layer_maps(self, features: Tensor, gradients: Tensor) -> Tensor:
        """Return maps ``(N, h, w)`` of projections, not negative."""
        first = first_component(features.flatten(2).mT)
        centred = features - features.mean((2, 3), keepdim=True)
        maps = torch.einsum("nchw,nc->nhw", centred, first)
        return signed_like(maps, features.norm(dim=1)).relu()


class DDT(ScoreMaps):
    """Deep Descriptor Transforming: what the images of a collection have in common.

    ``fit`` sees the collection once, in batches; then each place's map is its features' projection
    on the first principal component of all. The sign of the component is open; here it is the one
    that is larger where features are stronger.

    Args:
        model: the classifier.
        options: as of ``ScoreMaps``.

    Source: Wei et al., Deep Descriptor Transforming for Image Co-Localization, IJCAI 2017,
    equations 1 to 4.

    >>> from wsol.models import create_network
    >>> network = create_network("test_resnet", num_classes=5, pretrained=False)
    >>> images = torch.rand(4, 3, 64, 64)
    >>> localizer = DDT(network)
    >>> localizer.fit([images[:2], images[2:]])
    >>> localizer(images).shape
    torch.Size([4, 64, 64])
    """

    needs_fit = True
    sees_classes = False
    needs_classes = False

    def __init__(self, model: nn.Module, *arguments: Any, **options: Any) -> None:
        """Keep the classifier."""
        super().__init__(model, *arguments, **options)
        self.means: dict[str, Tensor] = {}
        self.directions: dict[str, Tensor] = {}

    def default_layers(self) -> tuple[str, ...]:
        """Return the last stage: what is wanted is no class's own."""
        return (last_stage(self.model, self.size),)

    def fit(self, batches: Iterable[Images]) -> None:
        """Find the component over all images; earlier ones are forgotten.

        Args:
            batches: of normalised images ``(N, 3, H, W)``.
        """
        seen = {layer: Moments() for layer in self.layers}
        for images in batches:
            forward_pass = observe(self.model, images, self.layers)
            for layer, moments in seen.items():
                features = forward_pass.features[layer]
                moments.add(features.transpose(0, 1).flatten(1).T)
        for layer, moments in seen.items():
            self.means[layer], self.directions[layer] = moments.component()

    def state(self) -> dict[str, Tensor]:
        """Return what ``fit`` found, as tensors by name."""
        return {
            f"{kind}.{layer}": value
            for kind, values in (("mean", self.means), ("direction", self.directions))
            for layer, value in values.items()
        }

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Take what an earlier ``fit`` found.

        Raises:
            ConfigError: it was found at other layers.
        """
        for layer in self.layers:
            if f"mean.{layer}" not in state:
                raise ConfigError(f"ddt was fitted at other layers than {layer}: fit it again")
            self.means[layer], self.directions[layer] = (
                state[f"mean.{layer}"],
                state[f"direction.{layer}"],
            )

    def score_maps(self, forward_pass: Any, labels: Tensor) -> list[Tensor]:
        """Return the maps ``(N, h, w)`` of each layer."""
        if not self.directions:
            raise ConfigError("ddt has seen no images: call fit with batches of images first")
        found = []
        for layer in self.layers:
            features = forward_pass.features[layer]
            mean, direction = (part[layer].to(features) for part in (self.means, self.directions))
            maps = torch.einsum("nchw,c->nhw", features, direction)
            found.append(maps - mean @ direction)
        return found


class Moments:
    """Number, sum and products of feature vectors, added up batch by batch in float64.

    >>> moments = Moments()
    >>> moments.add(torch.tensor([[0.0, 1], [2, 1], [4, 1]]))
    >>> [part.tolist() for part in moments.component()]
    [[2.0, 1.0], [1.0, 0.0]]
    """

    def __init__(self) -> None:
        """Start with none."""
        self.number = 0
        self.sums = self.products = self.lengths = torch.zeros(())

    def add(self, points: Tensor) -> None:
        """Count those of points ``(P, C)`` that are finite."""
        # Not every device has float64.
        points = points[points.isfinite().all(1)].cpu().double()
        length = points.norm(dim=1)
        self.number += len(points)
        self.sums = self.sums + points.sum(0)
        self.products = self.products + points.T @ points
        # How the length goes along with each channel decides the component's sign.
        self.lengths = self.lengths + torch.cat((length @ points, length.sum()[None]))

    def component(self) -> tuple[Tensor, Tensor]:
        """Return the mean and the first principal component, float32 ``(C,)`` each.

        Both are NaN where no point was finite.

        Raises:
            ConfigError: no points were added.
        """
        if self.sums.ndim == 0:
            raise ConfigError("ddt has seen no images: give it at least one batch")
        mean = self.sums / self.number
        direction = leading_direction(self.products / self.number - torch.outer(mean, mean))
        along = self.lengths[:-1] - self.lengths[-1] * mean
        sign = 1 if along @ direction >= 0 else -1
        return mean.float(), sign * direction.float()
