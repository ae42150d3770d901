"""Which module's features to look at, where the user does not say."""

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from wsol.errors import ConfigError, raise_if_out_of_memory
from wsol.localizers._forward import changed_output, find_logits, has_classes, recorded, tapped_part
from wsol.localizers._layout import find_layout, to_maps
from wsol.models.layout import Layout
from wsol.models.utils import device_of, evaluating, forward, input_spec, is_quantized, named_layers

log = logging.getLogger("wsol")


def choose_tap(model: nn.Module, size: int | None = None) -> str:
    """Return the name of the last module whose features decide the logits at more than one place.

    One image of noise is sent through the model. Of all modules whose output is a grid of
    features, as deep as the last of these, the last is taken on which the logits depend anywhere
    but at a class token: after the last attention of a transformer that reads its class token
    alone, no other token matters any more.

    Args:
        model: any classifier; its mode is left as it was.
        size: side of the input in pixels; default: what the model says it takes.

    Raises:
        ConfigError: the model does not take the image, has no such features, or no gradients reach
            them.

    >>> import timm
    >>> choose_tap(timm.create_model("test_resnet"))
    'layer4'
    >>> choose_tap(timm.create_model("test_vit"))
    'blocks.5.norm1'
    """
    images, body = probe(model, size), tapped_part(model)
    if not has_classes(model):
        raise ConfigError(
            f"{type(body).__name__} has no classes that could tell which layer to read: name a tap "
            "and choose a localizer that needs no class, such as feature_norm"
        )
    passed: dict[str, Tensor] = {}
    with evaluating(model), torch.inference_mode(False), torch.enable_grad(), ExitStack() as stack:
        for name, module in named_layers(body).items():
            if not isinstance(module, nn.Dropout):
                stack.enter_context(changed_output(module, _keeper(passed, name)))
        logits = find_logits(pass_probe(model, images.requires_grad_()), model)
        name = _last(passed, logits, images, body)
    log.info("reading the features of %s", name)
    return name


def _keeper(passed: dict[str, Tensor], name: str) -> Any:
    def keep(output: Tensor) -> Tensor:
        # A module that is passed again counts where it was passed last.
        passed.pop(name, None)
        if not output.is_floating_point():
            return output
        passed[name] = recorded(output)
        return passed[name].clone()

    return keep


def _last(passed: dict[str, Tensor], logits: Tensor, images: Tensor, body: nn.Module) -> str:
    found = {
        name: (output, layout)
        for name, output in passed.items()
        if (layout := find_layout(output, images, body)) is not None
    }
    names = [name for name, each in found.items() if not _are_scores(*each, logits, images)]
    if names:
        is_reached = False
        output, layout = found[names[-1]]
        deepest = to_maps(output, layout, images).shape[1]
        # Class scores, noise for noise, so that no two of them cancel out.
        score = (logits * torch.arange(1, logits.shape[1] + 1, device=logits.device).cos()).sum()
        for name in reversed(names):
            output, layout = found[name]
            if to_maps(output, layout, images).shape[1] != deepest:
                continue
            gradient = _gradient(score, output)
            if gradient is not None and to_maps(gradient, layout, images).count_nonzero() > 0:
                return name
            is_reached = is_reached or gradient is not None
        why = (
            "are zero (has its last layer learned nothing yet?)"
            if is_reached
            else "do not reach its features (are they turned off, or its layers quantised?)"
        )
        raise ConfigError(
            f"gradients of the logits of {type(body).__name__} {why}: name a tap and choose a "
            "localizer that needs no gradients, such as feature_norm"
        )
    if any(map(is_quantized, body.modules())):
        raise ConfigError(
            f"the features of {type(body).__name__} are quantised: give the network that it was "
            "made from"
        )
    raise ConfigError(f"{type(body).__name__} has no features on a grid: name a tap")


def _gradient(score: Tensor, output: Tensor) -> Tensor | None:
    if not score.requires_grad:
        return None
    found: Sequence[Tensor | None] = torch.autograd.grad(
        score, output, retain_graph=True, allow_unused=True
    )
    return found[0]


def _are_scores(output: Tensor, layout: Layout, logits: Tensor, images: Tensor) -> bool:
    """Return whether maps are the scores of classes, as of a classifier that is a convolution.

    Then a class's logit depends on its own map alone.
    """
    if to_maps(output, layout, images).shape[1] != logits.shape[1]:
        return False
    # The likeliest, as what was not negative on its way has a gradient.
    label = int(logits[0].argmax())
    gradient = _gradient(logits[0, label], output)
    if gradient is None:
        return False
    maps = to_maps(gradient, layout, images)[0]
    return bool(maps.count_nonzero() == maps[label].count_nonzero() > 0)


def pass_probe(model: nn.Module, images: Tensor) -> Any:
    """Return what a model gives for pictures that are to show its taps.

    Args:
        model: any classifier.
        images: ``(N, 3, H, W)``.

    Raises:
        ConfigError: it does not take them.

    >>> pass_probe(nn.Identity(), torch.zeros(1, 3, 2, 2)).shape
    torch.Size([1, 3, 2, 2])
    """
    try:
        return forward(model, images)
    except (RuntimeError, AssertionError, ValueError, TypeError) as error:
        raise_if_out_of_memory(error)
        size = tuple(images.shape[1:])
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ConfigError(
            f"cannot find a tap: an image of {size} does not pass the model ({reason}): give the "
            "size that it takes, or name a tap"
        ) from error


def probe(model: nn.Module, size: int | None = None) -> Tensor:
    """Return one image of noise, float32 ``(1, 3, H, W)``.

    Args:
        model: any classifier; the image is on its device.
        size: side in pixels; default: what the model says it takes.

    >>> probe(nn.Conv2d(3, 4, 1)).shape
    torch.Size([1, 3, 224, 224])
    """
    chance = torch.Generator().manual_seed(0)
    shape = input_spec(model).size if size is None else (3, size, size)
    noise = torch.randn(1, *shape, generator=chance, dtype=torch.float32)
    return noise.to(device_of(model))
