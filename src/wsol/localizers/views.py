"""Several views of a picture and several localizers, put together into one map."""

import logging
from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from wsol.errors import ConfigError
from wsol.localizers.affinity import follow_features
from wsol.localizers.base import Interpolation, Localized, ScoreMaps, observe_for, resized, scaled
from wsol.localizers.look import Look, tapped_part
from wsol.localizers.stages import stage_before
from wsol.models.taps import find_tap

log = logging.getLogger("wsol")


class Views(ScoreMaps):
    """The geometric mean of several localizers' maps, averaged over flipped and resized pictures.

    For each view the localizers share one pass; of their maps, each scaled to [0, 1], the geometric
    mean keeps what all of them see, such as what belongs to a class and stands out as well.

    Args:
        localizers: one or more, of the same model.
        affinity: a tap, whose features the map then follows: of the map and of what
            ``follow_features`` makes of it, each scaled to [0, 1], the geometric mean is taken, at
            the size of these features. ``auto`` takes the last stage but one; empty: it does not.
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
        affinity: str = "",
        flip: bool = False,
        scales: Sequence[float] = (),
        interpolation: Interpolation = "bicubic",
    ) -> None:
        """Keep the localizers."""
        self.localizers, self.flip, self.scales = list(localizers), flip, tuple(scales) or (1.0,)
        if min(self.scales) <= 0:
            raise ConfigError(f"scales are {list(self.scales)}: they must be above 0")
        self.model, self.interpolation = self.localizers[0].model, interpolation
        if affinity == "auto":
            affinity = stage_before(self.model)
            log.info("following the features of %s", affinity)
        elif affinity:
            find_tap(tapped_part(self.model), affinity)
        self.affinity, self.more_taps = affinity, (affinity,) if affinity else ()
        self.taps = tuple(dict.fromkeys(tap for each in self.localizers for tap in each.taps))
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
        size = (images.shape[-2], images.shape[-1])
        first, *others = self._views(images)
        look = observe_for(self.localizers, first, self.more_taps)
        labels = look.logits.argmax(1) if labels is None else labels
        logits, total = look.logits, self.read(look, labels, size)
        for number, view in enumerate(others, 1):
            look = observe_for(self.localizers, view, self.more_taps)
            maps = self.read(look, labels, size)
            total += maps.flip(-1) if self.flip and number % 2 else maps
        return Localized(logits, labels, total / (1 + len(others)))

    def read(self, look: Look, labels: Tensor, size: tuple[int, int] | None = None) -> Tensor:
        """Return the maps ``(N, H, W)`` of one view.

        Args:
            look: what the pass has seen.
            labels: int64 ``(N,)``.
            size: height and width; default: the input's.
        """
        height, width = size or look.images.shape[-2:]
        with torch.no_grad(), torch.autocast(look.images.device.type, enabled=False):
            if not self.affinity:
                maps = [scaled(each.read(look, labels)) for each in self.localizers]
                return resized(geometric_mean(maps), (height, width), self.interpolation)
            features = look.features[self.affinity]
            grid = (features.shape[2], features.shape[3])
            maps = [scaled(each.read(look, labels, grid)) for each in self.localizers]
            own = scaled(geometric_mean(maps))
            both = geometric_mean([own, scaled(follow_features(own, features))])
            return resized(both, (height, width), self.interpolation)

    def _views(self, images: Tensor) -> Iterator[Tensor]:
        for scale in self.scales:
            size = [max(round(side * scale / 32), 1) * 32 for side in images.shape[-2:]]
            view = images
            if scale != 1:
                view = interpolate(images, size, mode="bilinear", antialias=scale < 1)
            yield view
            if self.flip:
                yield view.flip(-1)


def geometric_mean(maps: Sequence[Tensor]) -> Tensor:
    """Return the geometric mean of maps of one shape; what is below zero counts as zero.

    >>> geometric_mean([torch.tensor([4.0, 1.0]), torch.tensor([9.0, -1.0])])
    tensor([6., 0.])
    """
    product: Tensor = torch.stack([each.clamp(min=0) for each in maps]).prod(0)
    return product ** (1 / len(maps))
