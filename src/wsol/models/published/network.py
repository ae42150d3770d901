"""A network that knows the names of the published code."""

import logging
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from wsol.errors import ConfigError
from wsol.models.heads import Head
from wsol.models.network import Network

log = logging.getLogger("wsol")

Names = Callable[[Iterable[str]], dict[str, str]]
"""From all published names to this network's own; an empty one is left out."""

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class PublishedNetwork(Network):
    """A network of a paper.

    Args:
        body: as of ``Network``.
        head: as of ``Network``.
        names: turns published names into own ones.
        tensorflow: whether published kernels have the input channels before the output channels.
        options: the others of ``Network``.
    """

    def __init__(
        self, body: nn.Module, head: Head, *, names: Names, tensorflow: bool = False, **options: Any
    ) -> None:
        """Put the parts together."""
        super().__init__(body, head, IMAGENET_MEAN, IMAGENET_STD, **options)
        self._names, self._tensorflow = names, tensorflow

    def load_published(self, weights: Mapping[str, Any]) -> None:
        """Load weights under the names of the published code.

        The classifier may be missing or have another number of classes, and all layers that
        pretrained weights never have may be missing together: they stay as they are, and the log
        says so in one line. What belongs to no layer (an optimizer's state, the classifier of
        ImageNet) is left out.

        Args:
            weights: arrays or tensors by name.

        Raises:
            ConfigError: an entry is missing, of another shape, or not part of the network; names
                the first. Nothing is loaded then.
        """
        expected = self.state_dict()
        given = self._renamed(weights, expected)
        classifiers = {
            name
            for name in expected
            if name.removeprefix("head.").rpartition(".")[0] in self.head.classifiers
        }
        added = tuple(f"body.{layer}." for layer in self.new_layers)
        new = {name for name in expected if name.startswith(("head.", *added))}
        stays = {name for name in classifiers if not _fits(given.get(name), expected[name])}
        if new.isdisjoint(given.keys() - classifiers):
            stays |= new - given.keys()
        for name, value in expected.items():
            if name in stays or name.endswith("num_batches_tracked"):
                continue
            if name not in given:
                raise ConfigError(f"published weights: {name} is missing")
            if not _fits(given[name], value):
                raise ConfigError(
                    f"published weights: {name} has shape {tuple(given[name].shape)} instead of "
                    f"{tuple(value.shape)}"
                )
        kept = {name: value for name, value in given.items() if name not in stays}
        self.load_state_dict(expected | kept)
        if stays:
            layers = sorted({name.rpartition(".")[0] for name in stays})
            log.info("not in the published weights, so new: %s", ", ".join(layers))

    def _renamed(
        self, weights: Mapping[str, Any], expected: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Return published weights under own names and in this network's order of axes."""
        found: dict[str, Tensor] = {}
        for published, name in self._names(weights).items():
            # A plain classifier is nothing that another method's head could use.
            if not name or (name.startswith("head.linear.") and name not in expected):
                continue
            if name not in expected:
                raise ConfigError(f"published weights: {published!r} is no part of this network")
            value = torch.as_tensor(weights[published])
            if self._tensorflow:
                value = _from_tensorflow(value, expected[name].ndim)
            found[name] = value
        return found


def _fits(value: Tensor | None, expected: Tensor) -> bool:
    return value is not None and value.shape == expected.shape


def _from_tensorflow(value: Tensor, ndim: int) -> Tensor:
    """Turn kernels HWIO into OIHW and dense weights IO into OI, or 1x1 kernels where wanted."""
    if value.ndim == 4:
        return value.permute(3, 2, 0, 1)
    if value.ndim == 2:
        return value.T if ndim == 2 else value.T[:, :, None, None]
    return value


def replaced(name: str, rules: Iterable[tuple[str, str]]) -> str | None:
    r"""Return a name by the first rule whose pattern fits all of it; None where none does.

    Args:
        name: published.
        rules: regular expression and replacement.

    >>> replaced("conv5_1/W", [(r"conv(\d_\d)/W", r"body.conv\1.weight")])
    'body.conv5_1.weight'
    """
    for pattern, own in rules:
        match = re.fullmatch(pattern, name)
        if match:
            return match.expand(own)
    return None
