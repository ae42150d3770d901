"""Networks of the re-evaluation's code (clovaai/wsolevaluation).

For some methods it changes pooling layers or adds convolutions; all of that is in this file.

Source: Choe et al., Evaluating Weakly Supervised Object Localization Methods Right, CVPR 2020,
and its code.
"""

import re
from collections.abc import Iterable
from functools import partial
from typing import Any

import timm
import torchvision
from torch import nn

from wsol.errors import ConfigError
from wsol.models.heads import ChannelMeanHead, ConvHead, init_new_layers
from wsol.models.published.network import (
    INCEPTION_CHANNELS,
    VGG_CHANNELS,
    PublishedNetwork,
    inception_v3,
    replaced,
    vgg16,
)


def create(
    name: str, num_classes: int, method: str, large_feature_map: bool, pretrained: bool
) -> PublishedNetwork:
    """Create ``vgg16``, ``resnet50`` or ``inception_v3``; arguments as ``create_published``."""
    network = NETWORKS[name](num_classes, method, large_feature_map)
    if pretrained:
        network.load_published(_torchvision_weights(name))
    return network


def _vgg16(num_classes: int, method: str, large: bool) -> PublishedNetwork:
    if method == "acol":
        pools: dict[int, nn.Module | None] = {
            stage: nn.MaxPool2d(3, 1 if large and stage == 4 else 2, padding=1)
            for stage in (1, 2, 3, 4)
        }
        body = vgg16(pools | {5: nn.MaxPool2d(3, 1, padding=1)})
        body.add_module("smooth", nn.AvgPool2d(3, 1, padding=1))
        return _network("vgg16", body, ChannelMeanHead(VGG_CHANNELS, num_classes))
    if method == "spg":
        pooled = {4: None} if large else {4: nn.MaxPool2d(3, 2, padding=1)}
        new = {f"conv6_{number}": (VGG_CHANNELS, VGG_CHANNELS) for number in (1, 2)}
        stages = tuple(f"conv{stage}_{layer}" for stage in (4, 5) for layer in (1, 2, 3))
        return _network(
            "vgg16",
            vgg16(pooled, new),
            ConvHead(VGG_CHANNELS, num_classes),
            choices={"spg": ("relu4_3" if large else "pool4", "relu5_3")},
            new_layers=tuple(new),
            full_rate=stages,
        )
    return _network(
        "vgg16",
        vgg16({4: None} if large else {}, {"conv6": (VGG_CHANNELS, 1024)}),
        ChannelMeanHead(1024, num_classes),
        choices={"adl": ("pool3", "relu4_3", "relu5_3")},
        new_layers=("conv6",),
    )


def _resnet50(num_classes: int, method: str, large: bool) -> PublishedNetwork:
    body: Any = timm.create_model("resnet50", num_classes=0, global_pool="")
    for stage in (body.layer3, body.layer4) if large else (body.layer4,):
        stage[0].conv2.stride = stage[0].downsample[0].stride = (1, 1)
    return _network(
        "resnet50",
        body,
        ChannelMeanHead(2048, num_classes),
        choices={"adl": ("layer3.0", "layer4.0", "layer4.2"), "spg": ("layer3.0", "layer3")},
        full_rate=("layer4",),
        guide_channels=1024,
    )


def _inception_v3(num_classes: int, method: str, large: bool) -> PublishedNetwork:
    added = method != "acol"
    body = inception_v3(large=large, added=added, dropout=method != "adl")
    channels = 1024 if added else INCEPTION_CHANNELS
    return _network(
        "inception_v3",
        body,
        ConvHead(channels, num_classes),
        choices={
            "adl": ("Mixed_5d", "Mixed_6e", "relu7_2"),
            # The published code connects B2 to the second to last block.
            "spg": ("Mixed_5d" if large else "maxpool3", "Mixed_6d"),
        },
        new_layers=("conv7_1", "conv7_2") if added else (),
    )


NETWORKS = {"vgg16": _vgg16, "resnet50": _resnet50, "inception_v3": _inception_v3}


def _network(name: str, body: nn.Module, head: Any, **options: Any) -> PublishedNetwork:
    network = PublishedNetwork(body, head, names=partial(_own_names, name), **options)
    for layer in network.new_layers:
        init_new_layers(network.body.get_submodule(layer))
    init_new_layers(head)
    return network


def _torchvision_weights(name: str) -> Any:
    """Return torchvision's ImageNet weights, downloaded or cached."""
    weights = torchvision.models.get_model_weights(name)["IMAGENET1K_V1"]
    try:
        return weights.get_state_dict(progress=False, weights_only=True)
    except OSError as error:
        raise ConfigError(
            f"cannot get torchvision's weights of {name!r} ({str(error).splitlines()[0]}); "
            "load a file with load_published, or use --pretrained false"
        ) from error


HEAD = (
    (r"fc\.(.*)", r"head.linear.\1"),
    (r"SPG_A_?4\.(.*)", r"head.maps.\1"),
    (r"classifier_A\.(.*)", r"head.first.\1"),
    (r"classifier_B\.(.*)", r"head.second.\1"),
    (r"SPG_B_1a\.(.*)", r"head.early.\1"),
    (r"SPG_B_2a\.(.*)", r"head.late.\1"),
    (r"SPG_B_shared\.(.*)", r"head.shared.\1"),
    (r"SPG_C\.(.*)", r"head.top.\1"),
)

BODY = {
    "vgg16": (
        (r"classifier\..*", ""),
        (r"conv6\.(.*)", r"body.conv6.\1"),
        (r"SPG_A_3\.0\.(.*)", r"body.conv6_1.\1"),
        (r"SPG_A_3\.2\.(.*)", r"body.conv6_2.\1"),
    ),
    "resnet50": ((r"((?:conv1|bn1)\..*)", r"body.\1"),),
    "inception_v3": (
        (r"AuxLogits\..*|Mixed_7.*|fc\..*", ""),
        (r"SPG_A3_([12])b\.0\.(.*)", r"body.conv7_\1.\2"),
        (r"((?:Conv2d|Mixed_[56]).*)", r"body.\1"),
    ),
}

VGG_LAYERS = [
    f"conv{stage}_{layer}"
    for stage, layers in enumerate((2, 2, 3, 3, 3), 1)
    for layer in range(1, layers + 1)
]


def _own_names(network: str, published: Iterable[str]) -> dict[str, str]:
    """Map names of a state dict of wsolevaluation or torchvision to names of this package.

    >>> _own_names("resnet50", ["layer4.3.bn1.bias", "layer4.2.bn1.bias", "SPG_A2.0.bn1.bias"])
    ... # doctest: +NORMALIZE_WHITESPACE
    {'layer4.3.bn1.bias': 'body.layer4.1.bn1.bias',
     'layer4.2.bn1.bias': 'body.layer4.0.bn1.bias',
     'SPG_A2.0.bn1.bias': 'body.layer3.1.bn1.bias'}
    """
    plain = {name: name.removeprefix("module.") for name in published}
    numbered = {"vgg16": _vgg_rules, "resnet50": _resnet_rules}.get(network)
    blocks = numbered(list(plain.values())) if numbered else []
    rules = (*blocks, *BODY[network], *HEAD)
    found = {name: replaced(each, rules) for name, each in plain.items()}
    return {name: name if own is None else own for name, own in found.items()}


def _vgg_rules(names: list[str]) -> list[tuple[str, str]]:
    """Return rules for the convolutions, whose numbers also count pooling and ADL layers."""
    numbers = _numbers(r"features\.(\d+)\..*", names)
    rules = [
        (rf"features\.{number}\.(.*)", rf"body.{layer}.\1")
        for number, layer in zip(numbers, VGG_LAYERS, strict=False)
    ]
    return rules + [
        (rf"SPG_A_{part}\.{2 * layer}\.(.*)", rf"body.conv{part + 3}_{layer + 1}.\1")
        for part in (1, 2)
        for layer in (0, 1, 2)
    ]


def _resnet_rules(names: list[str]) -> list[tuple[str, str]]:
    """Return rules for the blocks, whose numbers also count ADL layers, or are split for SPG."""
    rules = [
        (rf"layer{stage}\.{number}\.(.*)", rf"body.layer{stage}.{block}.\1")
        for stage in (1, 2, 3, 4)
        for block, number in enumerate(_numbers(rf"layer{stage}\.(\d+)\..*", names))
    ]
    split = [("A1.0", 0), *((f"A2.{number}", number + 1) for number in range(5))]
    return rules + [
        (rf"SPG_{re.escape(part)}\.(.*)", rf"body.layer3.{block}.\1") for part, block in split
    ]


def _numbers(pattern: str, names: Iterable[str]) -> list[int]:
    matches = (re.fullmatch(pattern, name) for name in names)
    return sorted({int(match[1]) for match in matches if match})
