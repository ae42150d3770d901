"""Parameter groups, learning-rate schedule, batch normalization and compilation."""

import math
from collections.abc import Callable
from typing import Any, TypeVar, cast

import torch
from timm.layers import norm_act
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from wsol.errors import ConfigError, raise_if_out_of_memory
from wsol.methods.base import Method
from wsol.models import Network
from wsol.training.config import MILESTONES, TrainConfig
from wsol.types import Schedule


def batch_norms(network: Network) -> list[nn.Module]:
    """Return the layers of batch normalisation in a network's body."""
    return [layer for layer in network.body.modules() if isinstance(layer, _BatchNorm)]


def parameter_groups(network: Network, config: TrainConfig, method: Method) -> list[dict[str, Any]]:
    """Return the weights for an optimizer, each group with its share of the learning rate.

    Where that share is 0, the weights are kept from learning.

    Args:
        network: to be trained.
        config: the options of the training.
        method: the training method.

    Raises:
        ConfigError: the method acts through weights of the body, all of which are frozen.
    """
    share = config.backbone_lr if config.has_trained_body else 1.0
    slow = network.slow_parameters()
    if share == 0:
        # They stay as they are, so their gradients are not worth the time.
        for weight in slow:
            weight.requires_grad_(False)
        if method.acts_through_body and not any(w.requires_grad for w in network.body.parameters()):
            raise ConfigError(
                f"method {config.method.name} acts through the body's weights, but backbone_lr 0 "
                "freezes all of them: use a backbone_lr above 0, or --method none"
            )
    return [
        {"params": slow, "share": share},
        {"params": network.fast_parameters(), "share": 1.0},
    ]


def check_sync_bn(device: torch.device) -> None:
    """Check that batch normalisation can see what all processes have.

    Args:
        device: of this process.

    Raises:
        ConfigError: it cannot.

    >>> check_sync_bn(torch.device("cuda"))
    """
    if device.type == "cpu":
        raise ConfigError(
            "sync_bn works on GPUs alone, and this is a CPU: leave it out, and the statistics of "
            "each process's share are used"
        )


def share_batch_norms(network: Network) -> None:
    """Let batch normalisation use the statistics of the images of all processes together.

    Names of weights stay as they are. With one process it changes nothing.

    Args:
        network: changed in place.
    """
    # Not torch's own, which loses the activation that timm joins to the layer.
    convert: Callable[[Any], Any] = norm_act.convert_sync_batchnorm
    network.body, network.head = convert(network.body), convert(network.head)


WARM_UP = 0.1


def lr_factor(
    schedule: Schedule, progress: float, milestones: tuple[float, ...] = MILESTONES
) -> float:
    """Return the share of the learning rate to use.

    Args:
        schedule: ``step`` divides by ten at each milestone; ``onecycle`` rises for a tenth of
            the training and falls to zero along a cosine.
        progress: share of the training done, in [0, 1].
        milestones: shares of the training.

    Source: Choe & Shim, CVPR 2019, section 4.1 (step, from the authors' code); Smith & Topin,
    Super-Convergence, 2018 (onecycle).

    >>> [round(lr_factor("step", progress), 6) for progress in (0, 0.3, 0.6, 0.9)]
    [1.0, 0.1, 0.01, 0.001]
    >>> [round(lr_factor("onecycle", progress), 6) for progress in (0.05, 0.1, 0.55, 1)]
    [0.5, 1.0, 0.5, 0.0]
    """
    if schedule == "step":
        return 0.1 ** sum(progress >= step for step in milestones)
    if progress < WARM_UP:
        return progress / WARM_UP
    return 0.5 * (1 + math.cos(math.pi * (progress - WARM_UP) / (1 - WARM_UP)))


Model = TypeVar("Model", bound=nn.Module)


def check_compiler(device: torch.device) -> None:
    """Try ``torch.compile`` on one addition, before any time is spent on the rest.

    Args:
        device: to compile for.

    Raises:
        ConfigError: it does not work here, most often for lack of a compiler.
    """
    try:
        torch.compile(_add_one)(torch.zeros(2, device=device))
    # What is missing shows as an error of any part of torch, triton or the compiler.
    except Exception as error:
        raise_if_out_of_memory(error)
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ConfigError(
            f"compile does not work here ({reason}): install a C++ compiler such as g++, or leave "
            "it out"
        ) from error


def compiled(model: Model) -> Model:
    """Return a model that computes the same, compiled when it is first called.

    The one that is given stays as it was and shares all weights, so names in state dicts do not
    change. Hooks must be on it before.

    Args:
        model: to be trained.
    """
    return cast(Model, torch.compile(model))


def _add_one(values: torch.Tensor) -> torch.Tensor:
    return values + 1
