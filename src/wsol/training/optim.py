"""Which layers of a network learn, how fast, and what their batch normalisations see."""

from collections.abc import Callable
from typing import Any

import torch
from timm.layers import norm_act
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from wsol.errors import ConfigError
from wsol.methods.base import Method
from wsol.models import Network
from wsol.training.config import TrainConfig


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
    """Let batch normalisation use the statistics of the pictures of all processes together.

    Names of weights stay as they are. With one process it changes nothing.

    Args:
        network: changed in place.
    """
    # Not torch's own, which loses the activation that timm joins to the layer.
    convert: Callable[[Any], Any] = norm_act.convert_sync_batchnorm
    network.body, network.head = convert(network.body), convert(network.head)
