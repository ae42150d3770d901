"""Networks by name: a timm body at a chosen stride with its weights, or one of the papers'."""

import logging
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from typing import Any

import timm
import torch
from torch import Tensor, nn

from wsol.errors import ConfigError, did_you_mean, raise_if_out_of_memory, shortened
from wsol.methods import MethodConfig, method_config
from wsol.models.heads import Head, LinearHead, NoHead, Output
from wsol.models.imagenet import published_classes
from wsol.models.modes import device_of, evaluating, forward
from wsol.models.names import BUNDLED_BACKBONE
from wsol.models.network import Network
from wsol.models.published import create_published, published_names, tensorpack
from wsol.models.weights import load_bundled_weights

log = logging.getLogger("wsol")


def list_backbones() -> list[str]:
    """Return the names of all networks: those of the papers, and those of timm.

    >>> {"tf_efficientnet_lite0", "wsolevaluation/vgg16"} <= set(list_backbones())
    True
    """
    return sorted([*timm.list_models(), *published_names()])


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
    """Make a classifier with named taps, ready to be trained by a method.

    Args:
        name: a timm name or one of the papers' networks; ``wsol list backbones`` shows them.
        num_classes: the pretrained classifier is kept where it has as many, otherwise the head
            is new. 0: no classifier (timm's networks only).
        method: name of a training method, or its options; ``cam`` is another name of ``none``.
        output_stride: input pixels per pixel of the last feature maps (8, 16 or 32), where the
            network offers a choice; None leaves it as published.
        pretrained: load ImageNet weights, for the default network from an installed package,
            for the others from the hub; default: true for timm's networks, false for the papers'.
        shifted_head: start a new head as ``LinearHead`` does with ``shifted``; the papers'
            networks do not.
        size: side in pixels of the input that the network is made for; default: the published.
        options: those of the method where only its name is given; ``large_feature_map=True`` is
            ``output_stride=8``; ``adl_positions`` are numbers of ADL's places in tensorpack's
            networks, in place of ``taps``.

    Raises:
        ConfigError: unknown name or option, weights that cannot be had, or a network that does
            not take this size or makes no feature maps.

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


def build_network(
    name: str,
    *,
    num_classes: int,
    method: MethodConfig,
    output_stride: int | None = 16,
    pretrained: bool | None = None,
    shifted_head: bool = True,
    size: int | None = None,
) -> Network:
    """Make the same network without what the method attaches for training alone.

    Arguments and errors are those of ``create_network``.

    >>> from wsol.methods.adl import Config
    >>> network = build_network("resnet18", num_classes=5, method=Config(), pretrained=False)
    >>> type(network.head).__name__
    'LinearHead'
    """
    network: Network
    if name in published_names():
        network = create_published(
            name,
            num_classes=num_classes,
            method=method.name,
            large_feature_map=output_stride == 8,
            pretrained=bool(pretrained),
        )
        if size is not None:
            check_size(network, size)
    else:
        network = _timm_network(name, num_classes, output_stride, pretrained, shifted_head, size)
    network.head = method.create().head(network)
    return network


def create_pretrained_network(name: str, size: int | None = None) -> Network:
    """Make a network with its published classifier, or with none where none was published.

    Args:
        name: a timm name.
        size: side in pixels of the input that the network is made for; default: the published.

    Raises:
        ConfigError: there is no such network, or its weights cannot be downloaded.

    >>> create_pretrained_network("tf_efficientnet_lite0").head.linear.out_features
    1000
    """
    if name in published_names():
        raise ConfigError(
            f"backbone: {name!r} has no published weights for prediction; use another backbone, or "
            "a run that was trained with it"
        )
    classes = published_classes(timm.get_pretrained_cfg(name)) if timm.is_model(name) else ()
    return create_network(name, num_classes=len(classes), output_stride=None, size=size)


def choose_method(name: str, method: str | MethodConfig, options: dict[str, Any]) -> MethodConfig:
    """Return a method's options from its name and some of them.

    Args:
        name: of the network; tensorpack's have ADL positions and thresholds of their own.
        method: name, or all options.
        options: by name.

    Raises:
        ConfigError: no such method or option; names the nearest one.

    >>> choose_method("tensorpack/vgg_gap", "none", {"adl_positions": (3, 53)})
    Config(name='adl', taps=('pool3', 'relu5_3'), drop_rate=0.75, threshold=0.8)
    """
    family, _, short = name.partition("/")
    if family == "tensorpack" and name in published_names() and isinstance(method, str):
        method, options = tensorpack.method_options(short, method, options)
    if isinstance(method, str):
        kind = method_config("none" if method == "cam" else method)
        known = [field.name for field in fields(kind) if field.name != "name"]
        _check_options(options, known)
        return kind(**options)
    _check_options(options, ())
    return method


def _check_options(options: Iterable[str], known: Collection[str]) -> None:
    for option in options:
        if option not in known:
            hint = did_you_mean(option, {*known, "large_feature_map"})
            raise ConfigError(f"create_network has no option {option!r} here: {hint}")


def _timm_network(
    backbone: str,
    num_classes: int,
    output_stride: int | None,
    pretrained: bool | None,
    shifted_head: bool,
    size: int | None,
) -> Network:
    if not timm.is_model(backbone):
        hint = did_you_mean(backbone, list_backbones())
        raise ConfigError(f"no backbone {backbone!r}: {hint}")
    model = _create_timm(backbone, output_stride, size, pretrained)
    config, classifier = model.pretrained_cfg, model.get_classifier()
    channels, *published = config["input_size"]
    probe = torch.zeros(1, channels, *((size, size) if size else published))
    keeps_classes = pretrained is not False and 0 < num_classes == len(published_classes(config))
    fault = f"{backbone} makes no feature maps of images"
    with _refusal(fault, probe, "use another size or backbone"):
        expected = _infer(model, probe) if keeps_classes else None
        model.reset_classifier(0, "")
        _drop_unused_children(model, probe)
        channels = model.num_features
        head: Head = NoHead(channels)
        if num_classes:
            head = LinearHead(channels, num_classes, shifted_head)
            if (
                keeps_classes
                and isinstance(classifier, nn.Linear)
                and classifier.in_features == channels
            ):
                head.linear.load_state_dict(classifier.state_dict())
        network = Network(model, head, mean=tuple(config["mean"]), std=tuple(config["std"]))
        found = _infer(network, probe)
    _check_maps(backbone, found.features, probe)
    if expected is not None and not torch.allclose(found.logits, expected, atol=1e-3):
        raise ConfigError(
            f"the classifier of {backbone!r} is not average pooling and one linear layer, so "
            "no class activation map can be read from it: choose another backbone, or train"
        )
    return network


def check_size(model: nn.Module, size: int) -> Any:
    """Check that a classifier takes images of a size, and return what it gives for a black one.

    Args:
        model: any, in any mode.
        size: side of the input in pixels.

    Raises:
        ConfigError: it does not, or its last feature maps have one pixel.

    >>> network = create_network("resnet18", num_classes=5, pretrained=False)
    >>> check_size(network, 96).logits.shape
    torch.Size([1, 5])
    """
    probe = torch.zeros(1, 3, size, size, device=device_of(model))
    name = type(getattr(model, "body", model)).__name__
    with _refusal(f"{name} does not take images", probe, "use another size"):
        output = _infer(model, probe)
    if isinstance(output, Output):
        _check_maps(name, output.features, probe)
    return output


def _check_maps(name: str, features: Tensor, images: Tensor) -> None:
    """Refuse feature maps of one pixel: no place in them stands out."""
    if features.shape[-2:].numel() == 1:
        height, width = images.shape[-2:]
        raise ConfigError(
            f"{name} makes feature maps of one pixel from images of {width} x {height} pixels: "
            "use a larger size, a smaller output stride or another network"
        )


@contextmanager
def _refusal(fault: str, images: Tensor, advice: str) -> Iterator[None]:
    """Say in one line what is wrong with images of this size, whatever a network raises itself."""
    try:
        yield
    except ConfigError:
        raise
    except Exception as error:
        raise_if_out_of_memory(error)
        height, width = images.shape[-2:]
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ConfigError(f"{fault} of {width} x {height} pixels ({reason}): {advice}") from error


def _create_timm(
    backbone: str, output_stride: int | None, size: int | None, pretrained: bool | None
) -> Any:
    """Return a timm network with its published classifier."""
    bundled = pretrained is not False and backbone == BUNDLED_BACKBONE
    download = pretrained is not False and not bundled
    try:
        model = _with_first_choice(backbone, output_stride, size, download)
    except (OSError, RuntimeError) as error:
        raise_if_out_of_memory(error)
        if not download:
            raise
        # Only who was asked for pretrained weights, as in training, can do without.
        without = "" if pretrained is None else ", or pretrained false"
        raise ConfigError(
            f"backbone: cannot download the weights of {backbone!r} "
            f"({shortened(str(error).splitlines()[0])}); use {BUNDLED_BACKBONE}, which needs no "
            f"download{without}"
        ) from error
    if bundled:
        load_bundled_weights(model)
    return model


def _with_first_choice(
    backbone: str, output_stride: int | None, size: int | None, download: bool
) -> Any:
    """Return a timm network with the first of these that it offers: its stride, or any size."""
    choices: list[dict[str, Any]] = [{"dynamic_img_size": True}, {"strict_img_size": False}]
    if output_stride is not None:
        choices.insert(0, {"output_stride": output_stride})
    if size is not None:
        choices.append({"img_size": size})
    for choice in choices:
        try:
            model = timm.create_model(backbone, pretrained=download, **choice)
        except (TypeError, AssertionError):
            # timm says in this way that the family has no such choice.
            if "output_stride" in choice:
                log.info("%s has no choice of output stride", backbone)
        else:
            return model
    return timm.create_model(backbone, pretrained=download)


def _infer(model: nn.Module, images: Tensor) -> Any:
    # Not inference mode: what a network keeps of this pass could never be trained through.
    with evaluating(model), torch.no_grad():
        return forward(model, images)


def _drop_unused_children(model: Any, probe: Tensor) -> None:
    """Replace children that the features do not pass through, so that none is trained in vain."""
    called: set[nn.Module] = set()
    handles = [
        part.register_forward_hook(lambda module, *_: called.add(module))
        for part in model.modules()
    ]
    with torch.inference_mode():
        model.eval().forward_features(probe)
    for handle in handles:
        handle.remove()
    for name, child in list(model.named_children()):
        # A list of modules is never called itself, but its members are.
        if called.isdisjoint(child.modules()) and next(child.parameters(), None) is not None:
            setattr(model, name, nn.Identity())
    model.train()
