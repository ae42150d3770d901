"""Class-agnostic localizers on features: feature norm, Eigen-CAM and DDT."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.linalg import vector_norm
from torch.nn.functional import normalize

from wsol.errors import ConfigError
from wsol.localizers._forward import ForwardPass, Images, observe
from wsol.localizers.base import ScoreMaps


def first_component(points: Tensor) -> Tensor:
    """Return the unit vector ``(..., C)``, of either sign, of largest variance of ``(..., P, C)``.

    >>> first_component(torch.tensor([[0.0, 1], [2, 1], [4, 1]])).abs()
    tensor([1., 0.])
    """
    centred = points - points.mean(-2, keepdim=True)
    # The smaller of the two products has the same eigenvalues.
    if points.shape[-2] >= points.shape[-1]:
        return leading_direction(centred.mT @ centred)
    places = leading_direction(centred @ centred.mT)
    return normalize((places.unsqueeze(-2) @ centred).squeeze(-2), dim=-1)


def leading_direction(products: Tensor) -> Tensor:
    """Return the eigenvector ``(..., C)`` of the largest eigenvalue of symmetric ``(..., C, C)``.

    It is NaN if a value is not finite.
    """
    # The solver fails on non-finite matrices, and would fail for the whole batch.
    finite = products.isfinite().all(-1).all(-1)[..., None]
    vectors: Tensor = torch.linalg.eigh(products.where(finite[..., None], 0)).eigenvectors
    return vectors[..., -1].where(finite, torch.nan)


def signed_like(maps: Tensor, strengths: Tensor) -> Tensor:
    """Return maps ``(N, h, w)``, negated if that makes them larger where strengths are high."""
    centred = maps - maps.mean((1, 2), keepdim=True)
    sign = (centred * strengths).sum((1, 2), keepdim=True).sign()
    return maps * sign.where(sign != 0, 1)


class FeatureNorm(ScoreMaps):
    """Norm of the feature vector at each position.

    Source: as the channels' sum in Wei et al., Selective Convolutional Descriptor Aggregation for
    Fine-Grained Image Retrieval, TIP 2017, section 3.2; here the root of the sum of squares, which
    does not require non-negative features.

    >>> from wsol.models import create_network
    >>> network = create_network("test_resnet", num_classes=5, pretrained=False)
    >>> FeatureNorm(network)(torch.rand(2, 3, 64, 64)).shape
    torch.Size([2, 64, 64])
    """

    sees_classes = False
    needs_classes = False

    def layer_maps(self, features: Tensor, gradients: Tensor) -> Tensor:
        """Return maps ``(N, h, w)``, non-negative."""
        lengths: Tensor = vector_norm(features, dim=1)
        return lengths


class EigenCAM(ScoreMaps):
    """Eigen-CAM: projection on the first principal component of each image's features.

    The sign of a principal component is arbitrary; here the map is larger where features are
    stronger.

    Source: Muhammad & Yeasin, Eigen-CAM: Class Activation Map using Principal Components, IJCNN
    2020, equations 3 to 5; as in other implementations, the features are centred first.

    >>> from wsol.models import create_network
    >>> network = create_network("test_resnet", num_classes=5, pretrained=False)
    >>> EigenCAM(network)(torch.rand(2, 3, 64, 64)).shape
    torch.Size([2, 64, 64])
    """

    sees_classes = False
    needs_classes = False
    unexportable = "needs eigenvectors of each image's features"

    def layer_maps(self, features: Tensor, gradients: Tensor) -> Tensor:
        """Return maps ``(N, h, w)`` of projections, not negative."""
        first = first_component(features.flatten(2).mT)
        centred = features - features.mean((2, 3), keepdim=True)
        maps = torch.einsum("nchw,nc->nhw", centred, first)
        return signed_like(maps, features.norm(dim=1)).relu()


class DDT(ScoreMaps):
    """Deep Descriptor Transforming: what the images of a collection have in common.

    ``fit`` reads the collection once, in batches; the map is then the projection of each position's
    features on the first principal component of the collection. The sign of the component is
    arbitrary; here the map is larger where features are stronger.

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
        """Store the classifier."""
        super().__init__(model, *arguments, **options)
        self.components: dict[str, tuple[Tensor, Tensor]] = {}

    def fit(self, batches: Iterable[Images]) -> None:
        """Compute the component over all images; an earlier fit is discarded."""
        seen = {layer: Moments() for layer in self.layers}
        for images in batches:
            forward_pass = observe(self.model, images, self.layers)
            for layer, moments in seen.items():
                features = forward_pass.features[layer]
                moments.add(features.transpose(0, 1).flatten(1).T)
        self.components = {layer: moments.component() for layer, moments in seen.items()}

    def state(self) -> dict[str, Tensor]:
        """Return the fitted state as tensors by name."""
        return {
            f"{kind}.{layer}": value
            for layer, component in self.components.items()
            for kind, value in zip(("mean", "direction"), component, strict=True)
        }

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Load the state of an earlier ``fit``, which must be of the same layers."""
        for layer in self.layers:
            if f"mean.{layer}" not in state:
                raise ConfigError(f"ddt was fitted at other layers than {layer}; fit it again")
            self.components[layer] = state[f"mean.{layer}"], state[f"direction.{layer}"]

    def score_maps(self, forward_pass: ForwardPass, labels: Tensor) -> list[Tensor]:
        """Return the maps ``(N, h, w)`` of each layer."""
        if not self.components:
            raise ConfigError("ddt is not fitted; call fit with batches of images first")
        found = []
        for layer in self.layers:
            features = forward_pass.features[layer]
            mean, direction = (part.to(features) for part in self.components[layer])
            maps = torch.einsum("nchw,c->nhw", features, direction)
            found.append(maps - mean @ direction)
        return found


class Moments:
    """Count, sum and products of feature vectors, accumulated in float64 batch by batch.

    >>> moments = Moments()
    >>> moments.add(torch.tensor([[0.0, 1], [2, 1], [4, 1]]))
    >>> [part.tolist() for part in moments.component()]
    [[2.0, 1.0], [1.0, 0.0]]
    """

    def __init__(self) -> None:
        """Initialize without points."""
        self.number = 0
        self.sums = self.products = self.lengths = torch.zeros(())

    def add(self, points: Tensor) -> None:
        """Add those of points ``(P, C)`` that are finite."""
        # Not every device has float64.
        points = points[points.isfinite().all(1)].cpu().double()
        length = points.norm(dim=1)
        self.number += len(points)
        self.sums = self.sums + points.sum(0)
        self.products = self.products + points.T @ points
        # The correlation of each channel with the norm decides the component's sign.
        self.lengths = self.lengths + torch.cat((length @ points, length.sum()[None]))

    def component(self) -> tuple[Tensor, Tensor]:
        """Return the mean and the first principal component, float32 ``(C,)`` each.

        Both are NaN if no point was finite.

        Raises:
            ConfigError: no points were added.
        """
        if self.sums.ndim == 0:
            raise ConfigError("ddt is not fitted; pass at least one batch to fit")
        mean = self.sums / self.number
        direction = leading_direction(self.products / self.number - torch.outer(mean, mean))
        along = self.lengths[:-1] - self.lengths[-1] * mean
        sign = 1 if along @ direction >= 0 else -1
        return mean.float(), sign * direction.float()
