"""Creation of networks with the head and layers of a training method."""

from dataclasses import fields
from typing import Any, TypedDict, Unpack

import timm

from wsol.errors import ConfigError, did_you_mean
from wsol.methods import MethodConfig, method_config
from wsol.models.create import create_classifier, published_classes
from wsol.models.network import Network
from wsol.models.published import published_names, tensorpack
from wsol.types import BUNDLED_BACKBONE


def create_network(
    name: str = BUNDLED_BACKBONE,
    *,
    num_classes: int,
    method: str | MethodConfig = "none",
    output_stride: int | None = 16,
    pretrained: bool | None = None,
    shifted_head: bool = True,
    size: int | None = None,
    **options: Any,
) -> Network:
    """Create a classifier with named layers, ready for training with a method.

    Args:
        name: timm name, or name of a network of the papers, see ``wsol list backbones``.
        num_classes: number of classes; the pretrained classifier is kept if it has the same number,
            otherwise the head is new. 0: no classifier (timm networks only).
        method: name of a training method, or its options; ``cam`` is an alias of ``none``.
        output_stride: input pixels per pixel of the last feature maps (8, 16 or 32), for networks
            that offer a choice; None keeps the published one.
        pretrained: load ImageNet weights, for the default network from an installed package,
            for the others from the hub; default: true for timm networks, false for the papers'.
        shifted_head: initialize a new head with ``shifted``, see ``LinearHead``; ignored by the
            papers' networks.
        size: side of the input in pixels that the network is built for; default: the published.
        options: options of the method if only its name is given; ``large_feature_map=True`` is
            ``output_stride=8``; ``adl_positions`` are position numbers of ADL in tensorpack's
            networks, instead of ``layers``.

    Raises:
        ConfigError: unknown name or option, unavailable weights, or a network that rejects this
            size or makes no feature maps.

    >>> import torch
    >>> network = create_network("resnet18", num_classes=5, pretrained=False)
    >>> network(torch.rand(1, 3, 64, 64)).features.shape
    torch.Size([1, 512, 4, 4])
    >>> network = create_network("wsolevaluation/vgg16", num_classes=5, method="acol")
    >>> network.eval().score_maps(torch.rand(1, 3, 64, 64), torch.tensor([2])).shape
    torch.Size([1, 4, 4])
    """
    if options.pop("large_feature_map", False):
        output_stride = 8
    config = choose_method(name, method, options)
    chosen = config.create()
    network = build_network(
        name,
        num_classes=num_classes,
        method=config,
        output_stride=output_stride,
        pretrained=pretrained,
        shifted_head=shifted_head,
        size=size,
    )
    chosen.attach(network)
    return network


class NetworkOptions(TypedDict, total=False):
    """Options of ``create_network`` that do not depend on the method."""

    output_stride: int | None
    pretrained: bool | None
    shifted_head: bool
    size: int | None


def build_network(
    name: str, *, num_classes: int, method: MethodConfig, **options: Unpack[NetworkOptions]
) -> Network:
    """Create the network without the layers that the method attaches for training."""
    network = create_classifier(name, num_classes=num_classes, method=method.name, **options)
    network.head = method.create().head(network)
    return network


def create_pretrained_network(name: str, size: int | None = None) -> Network:
    """Create a timm network with its published classifier, or without classes if it has none.

    Raises:
        ConfigError: the network does not exist, or its weights cannot be downloaded.
    """
    if name in published_names():
        raise ConfigError(
            f"backbone: {name!r} has no published weights for prediction; use another backbone, or "
            "a run trained with it"
        )
    classes = published_classes(timm.get_pretrained_cfg(name)) if timm.is_model(name) else ()
    return create_network(name, num_classes=len(classes), output_stride=None, size=size)


def choose_method(name: str, method: str | MethodConfig, options: dict[str, Any]) -> MethodConfig:
    """Return the options of a method from its name and some options, or the complete options.

    Networks of tensorpack have special ADL positions and thresholds.

    Raises:
        ConfigError: a method or option does not exist; the message suggests the nearest name.

    >>> choose_method("tensorpack/vgg_gap", "none", {"adl_positions": (3, 53)})
    Config(name='adl', layers=('pool3', 'relu5_3'), drop_rate=0.75, threshold=0.8)
    """
    family, _, short = name.partition("/")
    if family == "tensorpack" and name in published_names() and isinstance(method, str):
        method, options = tensorpack.method_options(short, method, options)
    known: list[str] = []
    if isinstance(method, str):
        kind = method_config("none" if method == "cam" else method)
        known = [field.name for field in fields(kind) if field.name != "name"]
    for option in options:
        if option not in known:
            hint = did_you_mean(option, {*known, "large_feature_map"})
            raise ConfigError(f"create_network has no option {option!r} here: {hint}")
    return kind(**options) if isinstance(method, str) else method
