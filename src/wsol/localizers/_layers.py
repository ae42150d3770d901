"""Automatic choice of the layers that localizers read."""

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from wsol.errors import ConfigError, raise_if_out_of_memory
from wsol.localizers._forward import changed_output, find_logits, has_classes, keeper, layer_root
from wsol.models.layout import Layout, find_layout, to_maps
from wsol.models.utils import device_of, evaluating, forward, input_spec, is_quantized, named_layers

log = logging.getLogger("wsol")


def choose_layers(model: nn.Module, size: int | None = None) -> str:
    """Return the name of the last module whose spatial features determine the logits.

    One noise image is sent through the model. Candidates are the modules whose output is a grid of
    features with as many channels as the last of them. The result is the last candidate on which
    the logits depend at any position other than a class token: after the last attention of a
    transformer with a class token, the other tokens have no effect.

    Args:
        model: any classifier; its mode is unchanged.
        size: side of the input in pixels; default: the model's input size.

    Raises:
        ConfigError: the model rejects the image, has no such features, or no gradients reach them.

    >>> import timm
    >>> choose_layers(timm.create_model("test_resnet"))
    'layer4'
    >>> choose_layers(timm.create_model("test_vit"))
    'blocks.5.norm1'
    """
    images, body = probe(model, size), layer_root(model)
    if not has_classes(model):
        raise ConfigError(
            f"{type(body).__name__}: no classes to choose a layer by; set the layer, and use a "
            "localizer without classes, such as feature_norm"
        )
    passed: dict[str, Tensor] = {}
    with evaluating(model), torch.inference_mode(False), torch.enable_grad(), ExitStack() as stack:
        for name, module in named_layers(body).items():
            if not isinstance(module, nn.Dropout):
                stack.enter_context(changed_output(module, keeper(passed, name, gradients=True)))
        logits = find_logits(pass_probe(model, images.requires_grad_()), model)
        name = _last(passed, logits, images, body)
    log.info("reading the features of %s", name)
    return name


def _last(passed: dict[str, Tensor], logits: Tensor, images: Tensor, body: nn.Module) -> str:
    found = {
        name: (output, layout)
        for name, output in passed.items()
        if (layout := find_layout(output, images, body)) is not None
        and not _are_scores(output, layout, logits, images)
    }
    kind = type(body).__name__
    if not found and any(map(is_quantized, body.modules())):
        raise ConfigError(
            f"{kind}: the features are quantised; use the network before quantisation"
        )
    if not found:
        raise ConfigError(f"{kind}: no features on a grid; set a layer")
    # Noise weights, so that class scores do not cancel out.
    score = (logits * torch.arange(1, logits.shape[1] + 1, device=logits.device).cos()).sum()
    is_reached = False
    deepest = None
    for name, (output, layout) in reversed(found.items()):
        channels = to_maps(output, layout, images).shape[1]
        deepest = deepest or channels
        if channels != deepest:
            continue
        gradient = _gradient(score, output)
        if gradient is not None and to_maps(gradient, layout, images).count_nonzero() > 0:
            return name
        is_reached = is_reached or gradient is not None
    why = (
        "are zero (is its last layer untrained?)"
        if is_reached
        else "do not reach its features (are gradients disabled, or its layers quantised?)"
    )
    raise ConfigError(
        f"{kind}: gradients of the logits {why}; set a layer and use a localizer without "
        "gradients, such as feature_norm"
    )


def _gradient(score: Tensor, output: Tensor) -> Tensor | None:
    if not score.requires_grad:
        return None
    found: Sequence[Tensor | None] = torch.autograd.grad(
        score, output, retain_graph=True, allow_unused=True
    )
    return found[0]


def _are_scores(output: Tensor, layout: Layout, logits: Tensor, images: Tensor) -> bool:
    """Return whether maps are class scores, as in fully convolutional classifiers.

    Each logit then depends on its class's map only.
    """
    if to_maps(output, layout, images).shape[1] != logits.shape[1]:
        return False
    # The most probable class: its score is positive, so ReLU passes its gradient.
    label = int(logits[0].argmax())
    gradient = _gradient(logits[0, label], output)
    if gradient is None:
        return False
    maps = to_maps(gradient, layout, images)[0]
    return bool(maps.count_nonzero() == maps[label].count_nonzero() > 0)


def pass_probe(model: nn.Module, images: Tensor) -> Any:
    """Return the model's output for probe images; images that it rejects raise a ConfigError."""
    try:
        return forward(model, images)
    except (RuntimeError, AssertionError, ValueError, TypeError) as error:
        raise_if_out_of_memory(error)
        size = tuple(images.shape[1:])
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ConfigError(
            f"cannot find a layer: the model rejects an image of {size} ({reason}); set the "
            "input size, or set a layer"
        ) from error


def probe(model: nn.Module, size: int | None = None) -> Tensor:
    """Return one noise image ``(1, 3, H, W)`` on the model's device; default: its input size."""
    chance = torch.Generator().manual_seed(0)
    shape = input_spec(model).size if size is None else (3, size, size)
    noise = torch.randn(1, *shape, generator=chance, dtype=torch.float32)
    return noise.to(device_of(model))


MAX_PLACES = 80 * 80
"""Maximum grid size of a stage that provides outlines."""


class Stage(NamedTuple):
    """Module whose output ends a stage.

    Attributes:
        layer: module name.
        rows: height of its feature maps at the model's input size.
        columns: width of its feature maps.
    """

    layer: str
    rows: int
    columns: int


def find_stages(model: nn.Module, size: int | None = None) -> list[Stage]:
    """Return the stages of a classifier, finest feature maps first.

    Candidates are modules that contain several layers with weights. Among those with feature maps
    of one size, the last of the least nested ends the stage, as the first module of the next stage
    may contain some; the last candidate of all ends the last stage. A single layer after them, such
    as the convolution that widens the features for the classifier, does not count: features shared
    by many classes are more visible before it. In networks that are a plain list of layers, such
    as VGG, single layers end the stages; a transformer with one grid has one stage.

    Args:
        model: any classifier; its mode is unchanged.
        size: side of the input in pixels; default: the model's input size.

    Raises:
        ConfigError: the model rejects an image of this size.

    >>> import timm
    >>> [stage.layer for stage in find_stages(timm.create_model("resnet18"))]
    ['layer1', 'layer2', 'layer3', 'layer4']
    >>> [tuple(stage) for stage in find_stages(timm.create_model("test_vit"))]
    [('blocks', 10, 10)]
    """
    several = _watch(model, size, layers=2)
    if len(several) > 1:
        return several
    single = _watch(model, size, layers=1)
    # If single layers give no additional stage, they are the patch embedding or similar.
    return single if len(single) > len(several) else several


def _watch(model: nn.Module, size: int | None, layers: int) -> list[Stage]:
    """Return the stages that end with a module of at least ``layers`` layers."""
    images, body = probe(model, size), layer_root(model)
    seen: list[Stage] = []
    # Not inference mode: tensors cached by the network could not be used for training later.
    with evaluating(model), torch.no_grad(), ExitStack() as stack:
        for name, module in named_layers(body).items():
            # Scales and shifts, as in normalization, do not count as layers.
            if sum(weight.ndim > 1 for weight in module.parameters()) >= layers:
                note = partial(_note_map, seen, name, images, body)
                stack.enter_context(changed_output(module, note))
        pass_probe(model, images)
    ends: dict[tuple[int, int], Stage] = {}
    for stage in seen:
        end = ends.setdefault(stage[1:], stage)
        if stage.layer.count(".") <= end.layer.count("."):
            ends[stage[1:]] = stage
    stages = sorted(ends.values(), key=lambda stage: -stage.rows * stage.columns)
    last = {stage[1:]: stage for stage in seen}
    return [*stages[:-1], *(last[stage[1:]] for stage in stages[-1:])]


def _note_map(
    seen: list[Stage], name: str, images: Tensor, body: nn.Module, output: Tensor
) -> Tensor:
    layout = find_layout(output, images, body)
    if layout is not None:
        rows, columns = to_maps(output, layout, images).shape[2:]
        seen.append(Stage(name, rows, columns))
    return output


def last_stage(model: nn.Module, size: int | None = None) -> str:
    """Return the layer of the last stage, or of ``choose_layers`` if there is no stage.

    Arguments and errors are those of ``find_stages``.

    >>> import timm
    >>> last_stage(timm.create_model("tf_efficientnet_lite0"))
    'blocks'
    """
    stages = find_stages(model, size)
    return stages[-1].layer if stages else choose_layers(model, size)


def stage_before(model: nn.Module, size: int | None = None) -> str:
    """Return the layer of the second to last stage, or of the only one.

    Arguments and errors are those of ``find_stages``.

    >>> import timm
    >>> stage_before(timm.create_model("tf_efficientnet_lite0"))
    'blocks.4'
    """
    stages = find_stages(model, size)
    return stages[-2].layer if len(stages) > 1 else last_stage(model, size)


def outline_stage(model: nn.Module, size: int | None = None) -> str | None:
    """Return the layer of the finest stage, other than the last two, with a grid of limited size.

    Arguments and errors are those of ``find_stages``. The result is None if there are at most two
    stages, or no stage has at most ``MAX_PLACES`` positions.
    """
    stages = find_stages(model, size)[:-2]
    return next((each.layer for each in stages if each.rows * each.columns <= MAX_PLACES), None)
