"""Networks of the ADL authors' code (junsukchoe/ADL, on tensorpack).

Both use TensorFlow's SAME padding. Their weights expect BGR images.

Source: Choe & Shim, CVPR 2019, section 4, and the authors' code.
"""

import re
from collections.abc import Iterable
from functools import partial
from typing import Any

import timm
from timm.layers.conv2d_same import Conv2dSame
from timm.layers.pool2d_same import MaxPool2dSame

from wsol.errors import ConfigError, did_you_mean
from wsol.models.heads import LinearHead
from wsol.models.published.network import PublishedNetwork, replaced, vgg16

NETWORKS = ("resnet50_se", "vgg_gap")

THRESHOLDS = {"resnet50_se": 0.9, "vgg_gap": 0.8}
"""ADL's threshold (gamma) in the paper."""

POSITIONS: dict[str, dict[int, str]] = {
    "resnet50_se": {0: "act1", 1: "maxpool"}
    | {group + 1: f"layer{group}" for group in (1, 2, 3, 4)}
    | {
        10 * group + block + 1: f"layer{group}.{block}"
        for group, blocks in ((1, 3), (2, 4), (3, 6), (4, 3))
        for block in range(blocks)
    },
    "vgg_gap": {pool: f"pool{pool}" for pool in (1, 2, 3, 4)}
    | {
        10 * stage + layer: f"relu{stage}_{layer}"
        for stage, layers in ((1, 2), (2, 2), (3, 3), (4, 3), (5, 3))
        for layer in range(1, layers + 1)
    },
}
"""Positions of the authors' code as layers.

VGG-GAP's position 6 is missing: there the authors' code omits the last convolution.
"""

PAPER = {"resnet50_se": (31, 41, 5), "vgg_gap": (3, 4, 53)}
"""Positions in the paper."""

OTHER_STATE = r".*Momentum|.*Adam.*|global_step|learning_rate|.*summary.*|EMA/.*|tower.*"
"""Checkpoint entries that are not weights."""

PARAMETERS = {
    "W": "weight",
    "b": "bias",
    "gamma": "weight",
    "beta": "bias",
    "mean/EMA": "running_mean",
    "variance/EMA": "running_var",
}

LAYERS: dict[str, list[tuple[str, str]]] = {
    "resnet50_se": [
        (r"conv0", "body.conv1"),
        (r"conv0/bn", "body.bn1"),
        (r"group(\d)/block(\d)/conv(\d)", r"body.layer{0}.\2.conv\3"),
        (r"group(\d)/block(\d)/conv(\d)/bn", r"body.layer{0}.\2.bn\3"),
        (r"group(\d)/block(\d)/convshortcut", r"body.layer{0}.\2.downsample.0"),
        (r"group(\d)/block(\d)/convshortcut/bn", r"body.layer{0}.\2.downsample.1"),
        (r"group(\d)/block(\d)/fc(\d)", r"body.layer{0}.\2.se.fc\3"),
        (r"linearnew", "head.linear"),
        (r"linear", ""),
    ],
    "vgg_gap": [
        (r"(conv\d_\d)", r"body.\1"),
        (r"new", "body.conv6"),
        (r"linear", "head.linear"),
        (r"fc\d", ""),
    ],
}
"""Published layers to those of this package; ``{0}`` is the group's number plus one."""


def create(
    name: str, num_classes: int, method: str, large_feature_map: bool, pretrained: bool
) -> PublishedNetwork:
    """Create ``resnet50_se`` or ``vgg_gap``; see ``create_published`` for the arguments."""
    if large_feature_map:
        raise ConfigError(f"tensorpack/{name}: large feature maps are not supported; use stride 16")
    if pretrained:
        raise ConfigError(
            f"tensorpack/{name} has no weights to download; load the authors' .npz file with "
            "load_published or wsol import, or use --pretrained false"
        )
    options: dict[str, Any] = {"names": partial(_own_names, name), "tensorflow": True}
    adl = tuple(POSITIONS[name][position] for position in PAPER[name])
    if name == "vgg_gap":
        body, head = vgg16(new={"conv6": (512, 1024)}), LinearHead(1024, num_classes)
        choices = {"adl": adl, "spg": ("pool4", "relu5_3")}
        return PublishedNetwork(body, head, choices=choices, new_layers=("conv6",), **options)
    head = LinearHead(2048, num_classes)
    choices = {"adl": adl, "spg": ("layer3.0", "layer3")}
    return PublishedNetwork(_resnet50_se(), head, choices=choices, full_rate=("layer4",), **options)


def adl_layers(name: str, positions: Iterable[int]) -> tuple[str, ...]:
    """Return layers for positions of the authors' code, its ``--gating-position``.

    Raises:
        ConfigError: a position does not exist.
    """
    known = POSITIONS[name]
    for position in positions:
        if position not in known:
            hint = did_you_mean(str(position), map(str, known))
            raise ConfigError(f"tensorpack/{name} has no ADL position {position}: {hint}")
    return tuple(known[position] for position in positions)


def method_options(name: str, method: str, options: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the method and its options, with ADL's positions as layers and the paper's threshold.

    With ``adl_positions``, plain training becomes ADL.

    >>> method_options("vgg_gap", "cam", {"adl_positions": [53]})
    ('adl', {'layers': ('relu5_3',), 'threshold': 0.8})
    """
    rest = dict(options)
    positions = rest.pop("adl_positions", None)
    if positions is not None and method in ("none", "cam", "adl"):
        method = "adl" if len(positions) else "none"
        if len(positions):
            rest["layers"] = adl_layers(name, positions)
    elif positions is not None:
        rest["adl_positions"] = positions
    if method == "adl":
        rest.setdefault("threshold", THRESHOLDS[name])
    return method, rest


def _resnet50_se() -> Any:
    """Return timm's SE-ResNet50 with a last stage of stride 1 and TensorFlow's SAME padding."""
    body: Any = timm.create_model("seresnet50", num_classes=0, global_pool="")
    body.conv1, body.maxpool = _same(body.conv1), MaxPool2dSame(3, 2)
    for stage in (body.layer2, body.layer3):
        stage[0].conv2 = _same(stage[0].conv2)
    body.layer4[0].conv2.stride = body.layer4[0].downsample[0].stride = (1, 1)
    return body


def _same(conv: Any) -> Conv2dSame:
    size, stride = conv.kernel_size, conv.stride
    return Conv2dSame(conv.in_channels, conv.out_channels, size, stride=stride, bias=False)


def _own_names(network: str, published: Iterable[str]) -> dict[str, str]:
    return {name: _own_name(network, name) for name in published}


def _own_name(network: str, published: str) -> str:
    plain = published.removesuffix(":0")
    if re.fullmatch(OTHER_STATE, plain):
        return ""
    parts = re.fullmatch(rf"(.+?)/({'|'.join(PARAMETERS)})", plain)
    layer = None if parts is None else replaced(parts[1], LAYERS[network])
    if parts is None or layer is None:
        return published
    if "{0}" in layer:
        layer = layer.replace("{0}", str(int(plain[5]) + 1))
    return f"{layer}.{PARAMETERS[parts[2]]}" if layer else ""
