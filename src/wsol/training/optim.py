"""Parameter groups, learning rate schedules, batch normalization and compilation."""

import math
from collections.abc import Callable
from typing import Any

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
    """Return the batch normalisation layers of a network's body."""
    return [layer for layer in network.body.modules() if isinstance(layer, _BatchNorm)]


def parameter_groups(network: Network, config: TrainConfig, method: Method) -> list[dict[str, Any]]:
    """Return parameter groups for an optimizer, each with its share of the learning rate.

    Weights with a share of 0 are frozen.

    Raises:
        ConfigError: the method only affects weights of the body, all of which are frozen.
    """
    share = config.backbone_lr if config.has_trained_body else 1.0
    slow = network.slow_parameters()
    if share == 0:
        # Frozen weights need no gradients.
        for weight in slow:
            weight.requires_grad_(False)
        if method.acts_through_body and not any(w.requires_grad for w in network.body.parameters()):
            raise ConfigError(
                f"method {config.method.name} only affects the body's weights, but backbone_lr 0 "
                "freezes all of them; use a backbone_lr above 0, or --method none"
            )
    return [
        {"params": slow, "share": share},
        {"params": network.fast_parameters(), "share": 1.0},
    ]


def check_sync_bn(device: torch.device) -> None:
    """Raise a ConfigError if batch normalisation cannot be synchronized on a device."""
    if device.type == "cpu":
        raise ConfigError(
            "sync_bn needs GPUs, but the device is a CPU; leave it out to use the statistics of "
            "each process"
        )


def share_batch_norms(network: Network) -> None:
    """Convert batch normalisation to use the statistics of the images of all processes.

    Names of weights are unchanged. With one process it has no effect.
    """
    # torch's function would lose the activation that timm includes in the layer.
    convert: Callable[[Any], Any] = norm_act.convert_sync_batchnorm
    network.body, network.head = convert(network.body), convert(network.head)


WARM_UP = 0.1


def lr_factor(
    schedule: Schedule, progress: float, milestones: tuple[float, ...] = MILESTONES
) -> float:
    """Return the factor of the learning rate at a fraction of the training.

    ``step`` divides by ten at each milestone, also a fraction; ``onecycle`` increases for a tenth
    of the training and decreases to zero along a cosine.

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


def check_compiler(device: torch.device) -> None:
    """Test ``torch.compile`` on one addition, before expensive work.

    Raises:
        ConfigError: compilation fails, most often for lack of a compiler.
    """
    try:
        torch.compile(lambda values: values + 1)(torch.zeros(2, device=device))
    # Missing components cause errors of any part of torch, triton or the compiler.
    except Exception as error:
        raise_if_out_of_memory(error)
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ConfigError(
            f"compile: torch.compile fails on this machine ({reason}); install a C++ compiler such "
            "as g++, or leave it out"
        ) from error
