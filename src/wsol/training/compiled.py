"""The network as machine code made for this machine, by ``torch.compile``."""

from typing import TypeVar, cast

import torch
from torch import nn

from wsol.errors import ConfigError, raise_if_out_of_memory

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
