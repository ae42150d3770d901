"""The part of accelerate that wsol uses; the package ships no types."""

from contextlib import AbstractContextManager
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

M = TypeVar("M", bound=nn.Module)
O = TypeVar("O", bound=Optimizer)

class PartialState:
    device: torch.device
    process_index: int
    num_processes: int
    def __init__(self, *, cpu: bool = ...) -> None: ...

class Accelerator:
    device: torch.device
    is_main_process: bool
    process_index: int
    num_processes: int
    scaler: Any | None
    optimizer_step_was_skipped: bool
    def __init__(self, *, cpu: bool = ..., mixed_precision: str | None = ...) -> None: ...
    def prepare(self, model: M, optimizer: O) -> tuple[M, O]: ...
    def no_sync(self, model: nn.Module) -> AbstractContextManager[None]: ...
    def backward(self, loss: Tensor) -> None: ...
    def reduce(self, tensor: Tensor, reduction: str = ...) -> Tensor: ...
    def wait_for_everyone(self) -> None: ...
