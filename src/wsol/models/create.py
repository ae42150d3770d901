"""Networks by name: a timm body at a chosen stride, its weights, and a linear head."""

import logging
from typing import Any

import timm
import torch
from torch import Tensor, nn

from wsol.errors import ConfigError, did_you_mean
from wsol.models.names import BUNDLED_BACKBONE
from wsol.models.network import LinearHead, Network
from wsol.models.weights import load_bundled_weights

log = logging.getLogger("wsol")


def list_backbones() -> list[str]:
    """Return the names of all timm networks.

    >>> "tf_efficientnet_lite0" in list_backbones()
    True
    """
    return sorted(timm.list_models())


def create_network(
    backbone: str = BUNDLED_BACKBONE,
    *,
    num_classes: int,
    output_stride: int | None = 16,
    pretrained: bool = True,
) -> Network:
    """Make a classifier with named taps from any timm network.

    Args:
        backbone: a timm name; ``wsol list backbones`` shows them.
        num_classes: the pretrained classifier is kept where it has as many, otherwise the head
            is new.
        output_stride: input pixels per pixel of the last feature maps (8, 16 or 32), where the
            network offers a choice; None leaves it as published.
        pretrained: load ImageNet weights, for the default network from an installed package,
            for the others from the hub.

    Raises:
        ConfigError: unknown name, or weights that cannot be had.

    >>> network = create_network("resnet18", num_classes=5, pretrained=False)
    >>> network(torch.rand(1, 3, 64, 64)).features.shape
    torch.Size([1, 512, 4, 4])
    """
    if not timm.is_model(backbone):
        hint = did_you_mean(backbone, timm.list_models())
        raise ConfigError(f"no backbone {backbone!r}: {hint}")
    model = _create_timm(backbone, output_stride, pretrained)
    config, classifier = model.pretrained_cfg, model.get_classifier()
    probe = torch.zeros(1, *config["input_size"])
    expected = _infer(model, probe)
    model.reset_classifier(0, "")
    _drop_unused_children(model, probe)
    head = LinearHead(model.num_features, num_classes)
    network = Network(model, head, mean=tuple(config["mean"]), std=tuple(config["std"]))
    if pretrained and config["num_classes"] == num_classes:
        if isinstance(classifier, nn.Linear) and classifier.in_features == model.num_features:
            head.linear.load_state_dict(classifier.state_dict())
        if not torch.allclose(_infer(network, probe).logits, expected, atol=1e-3):
            raise ConfigError(
                f"the classifier of {backbone!r} is not average pooling and one linear layer, so "
                "no class activation map can be read from it: choose another backbone, or train"
            )
    return network


def _create_timm(backbone: str, output_stride: int | None, pretrained: bool) -> Any:
    """Return a timm network with its published classifier; a stride it lacks is left out."""
    bundled = pretrained and backbone == BUNDLED_BACKBONE
    download = pretrained and not bundled
    try:
        if output_stride is None:
            model = timm.create_model(backbone, pretrained=download)
        else:
            try:
                model = timm.create_model(
                    backbone, pretrained=download, output_stride=output_stride
                )
            except (TypeError, AssertionError):
                # timm says in this way that the family has no choice of stride.
                log.info("%s has no choice of output stride", backbone)
                model = timm.create_model(backbone, pretrained=download)
    except (OSError, RuntimeError) as error:
        if not download:
            raise
        raise ConfigError(
            f"cannot get the pretrained weights of {backbone!r} ({str(error).splitlines()[0]}): "
            f"use --backbone {BUNDLED_BACKBONE}, which needs no download, or --pretrained false"
        ) from error
    if bundled:
        load_bundled_weights(model)
    return model


def _infer(model: nn.Module, images: Tensor) -> Any:
    training = model.training
    with torch.inference_mode():
        output = model.eval()(images)
    model.train(training)
    return output


def _drop_unused_children(model: Any, probe: Tensor) -> None:
    """Replace children that the features do not pass through, so that none is trained in vain."""
    called: set[nn.Module] = set()
    handles = [
        child.register_forward_hook(lambda module, *_: called.add(module))
        for child in model.children()
    ]
    with torch.inference_mode():
        model.eval().forward_features(probe)
    for handle in handles:
        handle.remove()
    for name, child in list(model.named_children()):
        if child not in called and next(child.parameters(), None) is not None:
            setattr(model, name, nn.Identity())
    model.train()
