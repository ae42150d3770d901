"""Several views of a picture and several localizers, put together into one map."""

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from wsol.errors import ConfigError
from wsol.localizers.base import (
    Interpolation,
    Localized,
    ScoreMaps,
    at_input_size,
    locate_all,
    scaled,
)


class Views(ScoreMaps):
    """The product of several localizers' maps, averaged over flipped and resized pictures.

    For each view the localizers share one pass; their maps are scaled to [0, 1] and multiplied, so
    that only what all of them see remains, such as what belongs to a class and stands out as well.

    Args:
        localizers: one or more, of the same model.
        flip: look at each picture from left to right and from right to left.
        scales: sides of the views as shares of the input's; sizes are rounded to multiples of 32
            pixels. Labels are chosen, and logits taken, from the first view.
        interpolation: how maps are brought to the input's size.

    Raises:
        ConfigError: localizers of different models, or a scale that is not above zero.

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
        flip: bool = False,
        scales: Sequence[float] = (),
        interpolation: Interpolation = "bicubic",
    ) -> None:
        """Keep the localizers."""
        self.localizers, self.flip, self.scales = list(localizers), flip, tuple(scales) or (1.0,)
        if min(self.scales) <= 0:
            raise ConfigError(f"scales are {list(self.scales)}: they must be above 0")
        taps = tuple(dict.fromkeys(tap for each in self.localizers for tap in each.taps))
        self.model, self.taps, self.interpolation = self.localizers[0].model, taps, interpolation
        self.needs_fit = any(each.needs_fit for each in self.localizers)

    def fit(self, batches: Iterable[Tensor]) -> None:
        """Show a collection of pictures to those localizers that want it, from all views."""
        images = list(batches) if sum(each.needs_fit for each in self.localizers) > 1 else batches
        for each in self.localizers:
            if each.needs_fit:
                each.fit(view for some in images for view in self._views(some))

    def state(self) -> dict[str, Tensor]:
        """Return what ``fit`` found, as tensors by name."""
        return {name: value for each in self.localizers for name, value in each.state().items()}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Take what an earlier ``fit`` found."""
        for each in self.localizers:
            each.load_state(state)

    def locate(self, images: Tensor, labels: Tensor | None = None) -> Localized:
        """Return logits and labels of the first view, and the maps of all together.

        Args:
            images: normalised, ``(N, 3, H, W)``.
            labels: int64 ``(N,)``; None takes the network's first choice.
        """
        first: list[Localized] = []
        total = torch.zeros(len(images), *images.shape[-2:], device=images.device)
        for number, view in enumerate(self._views(images)):
            found = locate_all(self.localizers, view, labels)
            labels = found[0].labels
            first = first or found
            maps = torch.stack([scaled(each.maps) for each in found]).prod(0)
            turned = maps.flip(-1) if self.flip and number % 2 else maps
            total += at_input_size(turned, images, self.interpolation)
        views = len(self.scales) * (1 + self.flip)
        return Localized(first[0].logits, first[0].labels, total / views)

    def _views(self, images: Tensor) -> Iterator[Tensor]:
        for scale in self.scales:
            size = [max(round(side * scale / 32), 1) * 32 for side in images.shape[-2:]]
            view = images
            if scale != 1:
                view = interpolate(images, size, mode="bilinear", antialias=scale < 1)
            yield view
            if self.flip:
                yield view.flip(-1)
