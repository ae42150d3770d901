"""Training of a head on features that are computed once for each image."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from wsol.data.batches import ImageFiles, Key, load_batches, normalized, split_batches
from wsol.data.source import Picture
from wsol.engine.fit import Look
from wsol.engine.kept_features import KeptFeatures, feature_file
from wsol.engine.progress import Meter
from wsol.errors import ConfigError
from wsol.methods.base import Method
from wsol.models import Network, Output


class FeatureBatch(NamedTuple):
    """Features of some images, in place of the images themselves.

    Attributes:
        indices: of the images, ``(N,)`` in the data set's order.
        layers: of each layer that the head reads float32 ``(N, C, h, w)``, the last features first.
    """

    indices: list[int]
    layers: list[Tensor]


class OnFeatures(nn.Module):
    """The head of a network, called with features in place of images.

    Args:
        network: whose head it is.
    """

    def __init__(self, network: Network) -> None:
        """Keep the head."""
        super().__init__()
        self.head = network.head

    def forward(self, layers: Sequence[Tensor], labels: Tensor | None = None) -> Output:
        """Return what the network would.

        Args:
            layers: as in ``FeatureBatch``.
            labels: int64 ``(N,)``.
        """
        return self.head.output(layers[0], labels, tuple(layers[1:]))


class CachedFeatures(NamedTuple):
    """Features of all images and of their mirror images.

    Attributes:
        layers: of each layer that the head reads, rows 2i and 2i + 1 are image i and its mirror
            image.
    """

    layers: list[KeptFeatures]

    def batches(self, keys: Iterable[Sequence[Key]]) -> Iterator[FeatureBatch]:
        """Yield the batches of keys; each key's seed decides whether the image is mirrored."""
        for some in keys:
            rows = [2 * key.index + int(is_mirrored(key)) for key in some]
            yield FeatureBatch(
                [key.index for key in some], [layer.batch(rows) for layer in self.layers]
            )


def check_cached(network: Network, method: Method, processes: int) -> None:
    """Check that a training can go on from features that are computed once.

    Args:
        network: to be trained; the weights that do not learn are known.
        method: the training method.
        processes: that train together.

    Raises:
        ConfigError: it cannot.
    """
    if processes > 1:
        reason = "works in one process; start without accelerate launch"
    elif method.changes_images:
        reason = "has no images for the method to change; use another method"
    elif any(weight.requires_grad for weight in network.body.parameters()):
        reason = "needs frozen layers, but this backbone has new ones; use another backbone"
    else:
        return
    raise ConfigError(f"cache_features: {reason}, or set cache_features to false")


def is_mirrored(key: Key) -> bool:
    """Return whether a training sees the mirror image: half of the time.

    >>> 450 < sum(is_mirrored(Key(0, (0, epoch, 0))) for epoch in range(1000)) < 550
    True
    """
    return bool(np.random.default_rng(key.seed).random() < 0.5)


def cache_features(
    network: Network, paths: Sequence[Picture], look: Look, folder: Path
) -> CachedFeatures:
    """Compute the features that a network's head reads, of images and of their mirror images.

    Args:
        network: on the device, ready to localize.
        paths: of the images.
        look: how they are read.
        folder: where the features lie; the files have no names, so nothing is left of them.

    Raises:
        ImageError: an image could not be read.
    """
    taps = network.head.taps
    files = ImageFiles(paths, look.transform, look.max_pixels)
    keys = split_batches(range(len(paths)), look.batch_size)
    with Meter("features", len(paths)) as meter, ExitStack() as stack:
        kept = [stack.enter_context(feature_file(folder)) for _ in range(1 + len(taps))]
        for batch in load_batches(files, keys, look.workers):
            if batch.errors:
                raise batch.errors[0][1]
            images = normalized(batch.images.to(look.compute.device), look.mean, look.std)
            with torch.inference_mode(), look.compute.autocast():
                views = [network.tapped_features(view, taps) for view in (images, images.flip(-1))]
            for row in range(len(images)):
                for features, tapped in views:
                    for file, layer in zip(kept, (features, *tapped), strict=True):
                        file.add(layer[row].float())
            meter.advance(len(images))
        return CachedFeatures([file.kept() for file in kept])
