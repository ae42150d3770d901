"""Deep Descriptor Transforming: the first principal component over many pictures."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from wsol.errors import ConfigError
from wsol.localizers._forward import Images, observe
from wsol.localizers.base import ScoreMaps
from wsol.localizers.components import leading_direction
from wsol.localizers.stages import last_stage


class DDT(ScoreMaps):
    """Deep Descriptor Transforming: what the pictures of a collection have in common.

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

    def default_taps(self) -> tuple[str, ...]:
        """Return the last stage: what is wanted is no class's own."""
        return (last_stage(self.model, self.size),)

    def fit(self, batches: Iterable[Images]) -> None:
        """Find the component over all pictures; earlier ones are forgotten.

        Args:
            batches: of normalised images ``(N, 3, H, W)``.
        """
        seen = {tap: Moments() for tap in self.taps}
        for images in batches:
            look = observe(self.model, images, self.taps)
            for tap, moments in seen.items():
                features = look.features[tap]
                moments.add(features.transpose(0, 1).flatten(1).T)
        for tap, moments in seen.items():
            self.means[tap], self.directions[tap] = moments.component()

    def state(self) -> dict[str, Tensor]:
        """Return what ``fit`` found, as tensors by name."""
        return {
            f"{kind}.{tap}": value
            for kind, values in (("mean", self.means), ("direction", self.directions))
            for tap, value in values.items()
        }

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Take what an earlier ``fit`` found.

        Raises:
            ConfigError: it was found at other taps.
        """
        for tap in self.taps:
            if f"mean.{tap}" not in state:
                raise ConfigError(f"ddt was fitted at other taps than {tap}: fit it again")
            self.means[tap], self.directions[tap] = state[f"mean.{tap}"], state[f"direction.{tap}"]

    def score_maps(self, look: Any, labels: Tensor) -> list[Tensor]:
        """Return the maps ``(N, h, w)`` of each tap."""
        if not self.directions:
            raise ConfigError("ddt has seen no pictures: call fit with batches of images first")
        found = []
        for tap in self.taps:
            features = look.features[tap]
            mean, direction = (part[tap].to(features) for part in (self.means, self.directions))
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
            raise ConfigError("ddt has seen no pictures: give it at least one batch")
        mean = self.sums / self.number
        direction = leading_direction(self.products / self.number - torch.outer(mean, mean))
        along = self.lengths[:-1] - self.lengths[-1] * mean
        sign = 1 if along @ direction >= 0 else -1
        return mean.float(), sign * direction.float()
