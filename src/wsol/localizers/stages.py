"""The stages of a network: the parts after which its features are coarser."""

from collections.abc import Callable
from contextlib import ExitStack
from typing import NamedTuple

import torch
from torch import Tensor, nn

from wsol.localizers._forward import changed_output, tapped_part
from wsol.localizers._layers import choose_tap, pass_probe, probe
from wsol.localizers._layout import find_layout, to_maps
from wsol.models.utils import evaluating, named_layers

MOST_PLACES = 80 * 80
"""Of the grid of a stage that shows outlines."""


class Stage(NamedTuple):
    """A module whose output ends a stage.

    Attributes:
        tap: its name.
        rows: height of its feature maps, for a picture of the size that the network is made for.
        columns: their width.
    """

    tap: str
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
    >>> [stage.tap for stage in find_stages(timm.create_model("resnet18"))]
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
    images, body = probe(model, size), tapped_part(model)
    found: dict[tuple[int, int], Stage] = {}
    last: dict[tuple[int, int], Stage] = {}
    # Not inference mode: what a network keeps of this pass could never be trained through.
    with evaluating(model), torch.no_grad(), ExitStack() as stack:
        for name, module in named_layers(body).items():
            # Scales and shifts, as of normalisations, are no layers of their own.
            if sum(weight.ndim > 1 for weight in module.parameters()) >= layers:
                keep = _keeper(found, last, name, images, body)
                stack.enter_context(changed_output(module, keep))
        pass_probe(model, images)
    stages = sorted(found.values(), key=lambda stage: -stage.rows * stage.columns)
    return [*stages[:-1], *(last[stage.rows, stage.columns] for stage in stages[-1:])]


def last_stage(model: nn.Module, size: int | None = None) -> str:
    """Return the tap of the last stage, or that of ``choose_tap`` where there is none.

    Arguments and errors are those of ``find_stages``.

    >>> import timm
    >>> last_stage(timm.create_model("tf_efficientnet_lite0"))
    'blocks'
    """
    stages = find_stages(model, size)
    return stages[-1].tap if stages else choose_tap(model, size)


def stage_before(model: nn.Module, size: int | None = None) -> str:
    """Return the tap of the last stage but one, or that of the only one.

    Arguments and errors are those of ``find_stages``.

    >>> import timm
    >>> stage_before(timm.create_model("tf_efficientnet_lite0"))
    'blocks.4'
    """
    stages = find_stages(model, size)
    return stages[-2].tap if len(stages) > 1 else last_stage(model, size)


def outline_stage(model: nn.Module, size: int | None = None) -> str | None:
    """Return the tap of the finest stage before the last two that shows outlines at a fair price.

    Arguments and errors are those of ``find_stages``.

    Returns:
        None where there are no more than two stages, or no stage has at most ``MOST_PLACES``.

    >>> import timm
    >>> outline_stage(timm.create_model("tf_efficientnet_lite0"))
    'blocks.1'
    """
    stages = find_stages(model, size)[:-2]
    return next((each.tap for each in stages if each.rows * each.columns <= MOST_PLACES), None)


def _keeper(
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
            if before is None or name.count(".") <= before.tap.count("."):
                found[rows, columns] = Stage(name, rows, columns)
        return output

    return keep
