"""Which module's features to look at, where the user does not say."""

import logging
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from wsol.errors import ConfigError, raise_if_out_of_memory
from wsol.localizers._forward import changed_output, find_logits, has_classes, layer_root, recorded
from wsol.models.layout import Layout, find_layout, to_maps
from wsol.models.utils import device_of, evaluating, forward, input_spec, is_quantized, named_layers

log = logging.getLogger("wsol")


def choose_layers(model: nn.Module, size: int | None = None) -> str:
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
    >>> choose_layers(timm.create_model("test_resnet"))
    'layer4'
    >>> choose_layers(timm.create_model("test_vit"))
    'blocks.5.norm1'
    """
    images, body = probe(model, size), layer_root(model)
    if not has_classes(model):
        raise ConfigError(
            f"{type(body).__name__} has no classes that could tell which layer to read: name a "
            f"layer "
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
            f"gradients of the logits of {type(body).__name__} {why}: name a layer and choose a "
            "localizer that needs no gradients, such as feature_norm"
        )
    if any(map(is_quantized, body.modules())):
        raise ConfigError(
            f"the features of {type(body).__name__} are quantised: give the network that it was "
            "made from"
        )
    raise ConfigError(f"{type(body).__name__} has no features on a grid: name a layer")


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
    """Return what a model gives for images that are to show its layers.

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
            f"cannot find a layer: an image of {size} does not pass the model ({reason}): give the "
            "size that it takes, or name a layer"
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


MAX_PLACES = 80 * 80
"""Of the grid of a stage that shows outlines."""


class Stage(NamedTuple):
    """A module whose output ends a stage.

    Attributes:
        layer: its name.
        rows: height of its feature maps, for an image of the size that the network is made for.
        columns: their width.
    """

    layer: str
    rows: int
    columns: int


def find_stages(model: nn.Module, size: int | None = None) -> list[Stage]:
    """Return the stages of a classifier, the one with the finest maps first.

    Of all modules that hold several layers with weights and give feature maps of one size, the last
    of those nested least ends the stage, as the first module of the next stage may hold some; the
    last of all ends the last stage. A single layer behind them, such as the convolution that
    widens the features for the classifier alone, does not count: what is common to many classes
    shows better before it. Networks that are no more than a list of layers, such as VGG, have
    stages that end with a single one, and a transformer of one grid has one stage.

    Args:
        model: any classifier; its mode is left as it was.
        size: side of the input in pixels; default: what the model says it takes.

    Raises:
        ConfigError: the model does not take an image of this size.

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
    # Where single layers find no further stage, they are the patches' embedding or the like.
    return single if len(single) > len(several) else several


def _watch(model: nn.Module, size: int | None, layers: int) -> list[Stage]:
    """Return the stages that end with a module of at least so many layers."""
    images, body = probe(model, size), layer_root(model)
    found: dict[tuple[int, int], Stage] = {}
    last: dict[tuple[int, int], Stage] = {}
    # Not inference mode: what a network keeps of this pass could never be trained through.
    with evaluating(model), torch.no_grad(), ExitStack() as stack:
        for name, module in named_layers(body).items():
            # Scales and shifts, as of normalisations, are no layers of their own.
            if sum(weight.ndim > 1 for weight in module.parameters()) >= layers:
                keep = _keep_map(found, last, name, images, body)
                stack.enter_context(changed_output(module, keep))
        pass_probe(model, images)
    stages = sorted(found.values(), key=lambda stage: -stage.rows * stage.columns)
    return [*stages[:-1], *(last[stage.rows, stage.columns] for stage in stages[-1:])]


def last_stage(model: nn.Module, size: int | None = None) -> str:
    """Return the layer of the last stage, or that of ``choose_layers`` where there is none.

    Arguments and errors are those of ``find_stages``.

    >>> import timm
    >>> last_stage(timm.create_model("tf_efficientnet_lite0"))
    'blocks'
    """
    stages = find_stages(model, size)
    return stages[-1].layer if stages else choose_layers(model, size)


def stage_before(model: nn.Module, size: int | None = None) -> str:
    """Return the layer of the last stage but one, or that of the only one.

    Arguments and errors are those of ``find_stages``.

    >>> import timm
    >>> stage_before(timm.create_model("tf_efficientnet_lite0"))
    'blocks.4'
    """
    stages = find_stages(model, size)
    return stages[-2].layer if len(stages) > 1 else last_stage(model, size)


def outline_stage(model: nn.Module, size: int | None = None) -> str | None:
    """Return the layer of the finest stage before the last two that shows outlines at a fair price.

    Arguments and errors are those of ``find_stages``.

    Returns:
        None where there are no more than two stages, or no stage has at most ``MAX_PLACES``.

    >>> import timm
    >>> outline_stage(timm.create_model("tf_efficientnet_lite0"))
    'blocks.1'
    """
    stages = find_stages(model, size)[:-2]
    return next((each.layer for each in stages if each.rows * each.columns <= MAX_PLACES), None)


def _keep_map(
    found: dict[tuple[int, int], Stage],
    last: dict[tuple[int, int], Stage],
    name: str,
    images: Tensor,
    body: nn.Module,
) -> Callable[[Tensor], Tensor]:
    def keep(output: Tensor) -> Tensor:
        layout = find_layout(output, images, body)
        if layout is not None:
            rows, columns = to_maps(output, layout, images).shape[2:]
            last[rows, columns] = Stage(name, rows, columns)
            before = found.get((rows, columns))
            if before is None or name.count(".") <= before.layer.count("."):
                found[rows, columns] = Stage(name, rows, columns)
        return output

    return keep
