"""Training of a head on cached features."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, multilabel_soft_margin_loss
from torch.optim import LBFGS, Optimizer

from wsol._utils.feature_file import KeptFeatures, feature_file
from wsol._utils.progress import Meter
from wsol.data.loader import Key
from wsol.data.samples import Samples
from wsol.data.sources import ImageSource
from wsol.errors import ConfigError, DataError
from wsol.inference.fitting import Preprocessing, load_inputs
from wsol.methods.base import Method
from wsol.models import Network, Output
from wsol.training.sampler import count_right

WEIGHT_DECAY = 0.01
"""Weight decay for features scaled to a standard deviation of 1."""

MAX_ITERATIONS = 200


def fit_classifier(features: Tensor, targets: Tensor, num_classes: int) -> tuple[Tensor, Tensor]:
    """Return weights ``(classes, C)`` and biases ``(classes,)`` of logistic regression, float32.

    The loss is convex and nothing is random, so the same features ``(N, C)`` give the same weights.
    Targets are classes, int64 ``(N,)``, or float32 ``(N, classes)``, 1 for each class of a row.
    Rows with non-finite features are ignored.

    Raises:
        DataError: no row is finite.

    >>> features = torch.tensor([[0.0, 5.0], [1.0, 5.0], [9.0, 5.0], [8.0, 5.0]])
    >>> weight, bias = fit_classifier(features, torch.tensor([0, 0, 1, 1]), 2)
    >>> (features @ weight.T + bias).argmax(1)
    tensor([0, 0, 1, 1])
    """
    finite = features.isfinite().all(1)
    if not finite.any():
        raise DataError(
            "features: the network's features of all images are infinite or NaN; use "
            "--precision fp32, or another backbone"
        )
    features, targets = features[finite], targets[finite]
    mean, std = features.mean(0), features.std(0, correction=0)
    # Constant features have no information.
    std = torch.where(std > 0, std, torch.inf)
    points = (features - mean) / std
    loss = cross_entropy if targets.ndim == 1 else multilabel_soft_margin_loss
    with torch.enable_grad():
        weight = torch.zeros(num_classes, features.shape[1], requires_grad=True)
        bias = torch.zeros(num_classes, requires_grad=True)
        optimizer: Optimizer = LBFGS(
            [weight, bias], max_iter=MAX_ITERATIONS, line_search_fn="strong_wolfe"
        )

        def closure() -> float:
            optimizer.zero_grad()
            value = loss(points @ weight.T + bias, targets)
            value = value + WEIGHT_DECAY / 2 * weight.square().sum()
            torch.autograd.backward(value)
            return value.item()

        optimizer.step(closure)
    weight, bias = weight.detach() / std, bias.detach()
    return weight, bias - weight @ mean


def set_last_layer(network: Network, weight: Tensor, bias: Tensor) -> None:
    """Set the weights and biases of ``fit_classifier`` in a network's only classifier."""
    (name,) = network.head.classifiers
    for parameter, value in zip(
        network.head.get_submodule(name).parameters(), (weight, bias), strict=True
    ):
        parameter.data.copy_(value.view_as(parameter))


class FeatureBatch(NamedTuple):
    """Batch of features, replacing a batch of images.

    Attributes:
        indices: indices of the images in the data set, ``(N,)``.
        layers: layers that the head reads, float32 ``(N, C, h, w)``, the last features first.
    """

    indices: list[int]
    layers: list[Tensor]


class OnFeatures(nn.Module):
    """Head of a network as a module called with the layers of a ``FeatureBatch``."""

    def __init__(self, network: Network) -> None:
        """Store the head."""
        super().__init__()
        self.head = network.head

    def forward(self, layers: Sequence[Tensor], labels: Tensor | None = None) -> Output:
        """Return the network's output; labels are int64 ``(N,)``."""
        return self.head.output(layers[0], labels, tuple(layers[1:]))


class CachedFeatures(NamedTuple):
    """Features of all images and of their mirror images.

    Attributes:
        layers: layers that the head reads; rows 2i and 2i + 1 are image i and its mirror image.
    """

    layers: list[KeptFeatures]

    def batches(self, keys: Iterable[Sequence[Key]]) -> Iterator[FeatureBatch]:
        """Yield batches by keys; each key's seed determines whether the image is mirrored."""
        for some in keys:
            rows = [2 * key.index + int(is_mirrored(key)) for key in some]
            yield FeatureBatch(
                [key.index for key in some], [layer.batch(rows) for layer in self.layers]
            )


def check_cached(network: Network, method: Method, processes: int) -> None:
    """Raise a ConfigError if a training cannot use cached features.

    The frozen weights of the network must be determined.
    """
    if processes > 1:
        reason = "supports one process only; start without accelerate launch"
    elif method.changes_images:
        reason = "does not support methods that change images; use another method"
    elif any(weight.requires_grad for weight in network.body.parameters()):
        reason = "needs frozen layers, but this backbone has new ones; use another backbone"
    else:
        return
    raise ConfigError(f"cache_features: {reason}, or set cache_features to false")


def is_mirrored(key: Key) -> bool:
    """Return whether the mirror image is used in training: with probability 0.5."""
    return bool(np.random.default_rng(key.seed).random() < 0.5)


def cache_features(
    network: Network, paths: Sequence[ImageSource], preprocessing: Preprocessing, folder: Path
) -> CachedFeatures:
    """Compute the features that a network's head reads, of images and of their mirror images.

    The network is on its device and prepared for localization. The files in the folder are unnamed
    and vanish with the process.

    Raises:
        ImageError: an image is unreadable.
    """
    with ExitStack() as stack:
        number = 1 + len(network.head.layers)
        kept = [stack.enter_context(feature_file(folder)) for _ in range(number)]
        for augmentations in _augmentations(network, paths, preprocessing):
            for row in range(len(augmentations[0][0])):
                for features in augmentations:
                    for file, layer in zip(kept, features, strict=True):
                        file.add(layer[row].float())
        return CachedFeatures([file.kept() for file in kept])


def _augmentations(
    network: Network, paths: Sequence[ImageSource], preprocessing: Preprocessing
) -> Iterator[list[tuple[Tensor, ...]]]:
    """Yield the layers that the head reads, for each batch and its mirror images."""
    with Meter("features", len(paths)) as meter:
        for _, images, _, errors in load_inputs(paths, preprocessing):
            if errors:
                raise errors[0][1]
            assert isinstance(images, Tensor)
            with torch.inference_mode(), preprocessing.compute.autocast():
                augmentations = [
                    network.layer_features(each, network.head.layers)
                    for each in (images, images.flip(-1))
                ]
            yield [(features, *tapped) for features, tapped in augmentations]
            meter.advance(len(images))


def fit_head(
    network: Network,
    samples: Samples,
    frozen: Network,
    preprocessing: Preprocessing,
    accelerator: Accelerator,
) -> Tensor:
    """Fit a network's linear head to the features of images and of their mirror images.

    If only a linear head is trained, the loss is convex. Logistic regression finds its minimum,
    while gradient descent with one learning rate for all features remains far from it. Processes
    share the images, and all fit the same head. ``frozen`` is a copy of the network, on its device
    and prepared for localization.

    Returns:
        Sum of the loss over images, correct predictions and number of images, float64 ``(3,)``.

    Raises:
        ImageError: an image is unreadable.
        DataError: no image has finite features.
    """
    indices = range(accelerator.process_index, len(samples), accelerator.num_processes)
    paths, rows = samples.paths(), []
    for augmentations in _augmentations(frozen, [paths[index] for index in indices], preprocessing):
        pooled = [features.float().mean((2, 3)).cpu() for features, *_ in augmentations]
        rows += list(torch.stack(pooled, 1))
    every = gather_object(list(zip(indices, rows, strict=True)))
    every.sort(key=itemgetter(0))
    points = torch.stack([row for _, row in every]).flatten(0, 1)
    several = samples.is_multi_label
    labels = samples.targets(range(len(samples))) if several else samples.labels
    targets = torch.from_numpy(labels).repeat_interleave(2, 0)
    weight, bias = fit_classifier(points, targets, len(samples.classes))
    set_last_layer(network, weight, bias)
    # Images with non-finite features are not counted.
    finite = points.isfinite().all(1)
    logits, targets = points[finite] @ weight.T + bias, targets[finite]
    loss = multilabel_soft_margin_loss if several else cross_entropy
    sums = float(loss(logits, targets)) * len(logits), count_right(logits, targets), len(logits)
    return torch.tensor(sums, dtype=torch.float64)
