"""Networks that load weights of the published code, and bodies they share."""

import logging
import re
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d
from torchvision.models import Inception3
from torchvision.models.inception import InceptionB
from torchvision.models.vgg import cfgs, make_layers

from wsol.errors import ConfigError
from wsol.models.heads import Head
from wsol.models.network import Network
from wsol.models.utils import IMAGENET_MEAN, IMAGENET_STD, load_weights

log = logging.getLogger("wsol")

Names = Callable[[Iterable[str]], dict[str, str]]
"""Function from all published names to this network's names; empty names are skipped."""


class PublishedNetwork(Network):
    """Network of a paper.

    Args:
        body: see ``Network``.
        head: see ``Network``.
        names: function from published names to names of this network.
        tensorflow: whether published kernels have input channels before output channels.
        options: further options of ``Network``.
    """

    def __init__(
        self, body: nn.Module, head: Head, *, names: Names, tensorflow: bool = False, **options: Any
    ) -> None:
        """Store body, head and names."""
        super().__init__(body, head, IMAGENET_MEAN, IMAGENET_STD, **options)
        self._names, self._tensorflow = names, tensorflow

    def load_published(self, weights: Mapping[str, Any]) -> None:
        """Load weights under the names of the published code.

        The classifier may be missing or have another number of classes, and all layers that
        pretrained weights never contain may be missing together: they are unchanged, and logged in
        one line. Entries that belong to no layer (optimizer state, the ImageNet classifier) are
        skipped.

        Args:
            weights: arrays or tensors by name.

        Raises:
            ConfigError: an entry is missing, has another shape, or is not part of the network; the
                message has the first one. No weights are loaded then.
        """
        expected = self.state_dict()
        given = self._renamed(weights, expected)
        last_layers = {f"head.{layer}" for layer in self.head.classifiers}
        classifiers = {name for name in expected if name.rpartition(".")[0] in last_layers}
        added = tuple(f"body.{layer}." for layer in self.new_layers)
        new = {name for name in expected if name.startswith(("head.", *added))}
        stays = {name for name in classifiers if not _fits(given.get(name), expected[name])}
        if new.isdisjoint(given.keys() - classifiers):
            stays |= new - given.keys()
        unchanged = {
            name: value
            for name, value in expected.items()
            if name in stays or name.endswith("num_batches_tracked")
        }
        try:
            load_weights(self, given | unchanged)
        except ConfigError as error:
            raise ConfigError(f"published weights: {error}") from error
        if stays:
            layers = sorted({name.rpartition(".")[0] for name in stays})
            log.info("not in the published weights, newly initialized: %s", ", ".join(layers))

    def _renamed(
        self, weights: Mapping[str, Any], expected: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Return published weights with this network's names and order of axes."""
        found: dict[str, Tensor] = {}
        for published, name in self._names(weights).items():
            # A plain classifier has no place in another method's head.
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
    """Transpose kernels HWIO to OIHW and dense weights IO to OI, or to 1x1 kernels."""
    if value.ndim == 4:
        return value.permute(3, 2, 0, 1)
    if value.ndim == 2:
        return value.T if ndim == 2 else value.T[:, :, None, None]
    return value


def replaced(name: str, rules: Iterable[tuple[str, str]]) -> str | None:
    r"""Return a name rewritten by the first rule that matches it completely; None without a match.

    A rule is a regular expression and its replacement.

    >>> replaced("conv5_1/W", [(r"conv(\d_\d)/W", r"body.conv\1.weight")])
    'body.conv5_1.weight'
    """
    for pattern, own in rules:
        match = re.fullmatch(pattern, name)
        if match:
            return match.expand(own)
    return None


INCEPTION_CHANNELS = 768
"""Channels of ``Mixed_6e``."""

KEPT = (
    *("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "maxpool1", "Conv2d_3b_1x1"),
    *("Conv2d_4a_3x3", "maxpool2", "Mixed_5b", "Mixed_5c", "Mixed_5d", "maxpool3", "Mixed_6a"),
    *("Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"),
)


class Reduction(InceptionB):
    """torchvision's first reduction with stride 1, which preserves the size of the maps."""

    def __init__(self, channels: int) -> None:
        """Create the block and set its strides to 1."""
        super().__init__(channels)
        for part in (self.branch3x3, self.branch3x3dbl_3):
            _set(part, stride=(1, 1), padding=(1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return the concatenated branches for features ``(N, C, h, w)``."""
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch3x3(x), double, max_pool2d(x, 3, 1, padding=1)], 1)


def inception_v3(*, large: bool, added: bool, dropout: bool) -> nn.Sequential:
    """Return torchvision's layers up to ``Mixed_6e`` as a sequence.

    Args:
        large: omit the last pooling, for maps with stride 8 instead of 16.
        added: append two 3x3 convolutions of 1024 channels, ``conv7_1`` and ``conv7_2``.
        dropout: apply dropout of 0.5 before, between and after these.
    """
    whole = Inception3(aux_logits=False, init_weights=False)
    made: dict[str, Any] = dict(whole.named_children())
    _set(made["Conv2d_1a_3x3"], padding=(1, 1))
    made["maxpool1"] = nn.MaxPool2d(3, 2, padding=1, ceil_mode=True)
    made["maxpool2"] = nn.MaxPool2d(3, 2, padding=1, ceil_mode=True)
    made["maxpool3"] = nn.MaxPool2d(3, 2, ceil_mode=True)
    made["Mixed_6a"] = Reduction(288)
    kept = (name for name in KEPT if not (large and name == "maxpool3"))
    layers = OrderedDict((name, made[name]) for name in kept)
    before = INCEPTION_CHANNELS
    for number in (1, 2) if added else ():
        if dropout:
            layers[f"dropout7_{number}"] = nn.Dropout(0.5)
        layers[f"conv7_{number}"] = nn.Conv2d(before, 1024, 3, padding=1)
        layers[f"relu7_{number}"] = nn.ReLU()
        before = 1024
    if added and dropout:
        layers["dropout8"] = nn.Dropout(0.5)
    return nn.Sequential(layers)


def _set(block: Any, **geometry: tuple[int, int]) -> None:
    for name, value in geometry.items():
        setattr(block.conv, name, value)


VGG_CHANNELS = 512
"""Channels of the last features."""

KEEP: Mapping[int, nn.Module | None] = {}


def vgg16(
    pools: Mapping[int, nn.Module | None] = KEEP, new: Mapping[str, tuple[int, int]] | None = None
) -> nn.Sequential:
    """Return torchvision's VGG16 features as ``conv1_1``, ``relu1_1``, ..., ``pool4``, ....

    Args:
        pools: replacements of pooling layers by number; None removes the layer. The fifth is
            removed unless given.
        new: channels before and after each 3x3 convolution appended at the end, by name.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    pools = {5: None} | dict(pools)
    stage, position = 1, 0
    for layer in make_layers(cfgs["D"]):
        if isinstance(layer, nn.MaxPool2d):
            pool = pools.get(stage, layer)
            if pool is not None:
                layers[f"pool{stage}"] = pool
            stage, position = stage + 1, 0
        elif isinstance(layer, nn.Conv2d):
            position += 1
            layers[f"conv{stage}_{position}"] = layer
        else:
            layers[f"relu{stage}_{position}"] = layer
    for name, (before, after) in (new or {}).items():
        layers[name] = nn.Conv2d(before, after, 3, padding=1)
        layers[name.replace("conv", "relu")] = nn.ReLU()
    return nn.Sequential(layers)
