"""Where and how exactly the network computes."""

import os
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from accelerate import Accelerator, PartialState

from wsol.engine.config import Precision
from wsol.errors import ConfigError

_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Compute:
    """Where and how exactly a network computes, and which of several processes this is.

    Several may be there at once: unlike accelerate's, a precision belongs to none but its owner.

    Attributes:
        device: of the network and of what it is given.
        precision: ``fp32``, ``bf16`` or ``fp16``.
        process_index: number of this process.
        num_processes: number of those that share the work.
    """

    device: torch.device
    precision: Precision = "fp32"
    process_index: int = 0
    num_processes: int = 1

    @property
    def is_main_process(self) -> bool:
        """Whether this is the process that writes and prints."""
        return self.process_index == 0

    def autocast(self) -> AbstractContextManager[object]:
        """Return a context in which the network computes in this precision.

        Of ``fp32`` it changes nothing, so a context around it stays in force.

        >>> with Compute(torch.device("cpu"), "bf16").autocast():
        ...     torch.get_autocast_dtype("cpu"), torch.is_autocast_enabled("cpu")
        (torch.bfloat16, True)
        """
        dtype = _DTYPES.get(self.precision)
        return nullcontext() if dtype is None else torch.autocast(self.device.type, dtype)


def choose_compute(precision: Precision, cpu: bool) -> Compute:
    """Return where and how exactly to compute, for what learns nothing.

    Args:
        precision: auto takes bfloat16 where the processor computes in it.
        cpu: stay on the CPU even where there is a GPU.

    Raises:
        ConfigError: float16 on the CPU.

    >>> choose_compute("fp32", cpu=True)
    Compute(device=device(type='cpu'), precision='fp32', process_index=0, num_processes=1)
    """
    precision = choose_precision(precision, cpu)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        state = PartialState(cpu=cpu)
        return Compute(state.device, precision, state.process_index, state.num_processes)
    return Compute(torch.device("cpu") if cpu else _best_device(), precision)


def make_accelerator(precision: Precision, cpu: bool) -> tuple[Accelerator, Compute]:
    """Return what shares a training among processes, and where and how exactly they compute.

    Args:
        precision: auto takes bfloat16 where the processor computes in it.
        cpu: stay on the CPU even where there is a GPU.

    Raises:
        ConfigError: float16 on the CPU, or this process computes elsewhere already.
    """
    precision = choose_precision(precision, cpu)
    try:
        # It keeps one precision for all of a process; it needs to know of float16 alone, whose
        # gradients it scales.
        accelerator = Accelerator(cpu=cpu, mixed_precision="fp16" if precision == "fp16" else "no")
    except ValueError as error:
        raise ConfigError(
            f"precision {precision}, cpu {cpu}: this process has begun with others: give the "
            "same again, or start another process"
        ) from error
    return accelerator, Compute(
        accelerator.device, precision, accelerator.process_index, accelerator.num_processes
    )


def choose_precision(precision: Precision, cpu: bool) -> Precision:
    """Return ``fp32``, ``bf16`` or ``fp16``.

    Args:
        precision: auto takes bfloat16 where the processor computes in it.
        cpu: stay on the CPU even where there is a GPU.

    Raises:
        ConfigError: float16 on the CPU, which has too few operations in it.

    >>> choose_precision("fp32", cpu=True)
    'fp32'
    """
    if precision == "fp16" and (cpu or _best_device().type == "cpu"):
        raise ConfigError("precision is fp16, which is for GPUs: give bf16 or fp32 on the CPU")
    if precision == "auto":
        return "bf16" if has_bfloat16(cpu) else "fp32"
    return precision


def has_bfloat16(cpu: bool) -> bool:
    """Return whether the processor in use computes in bfloat16, not merely emulates it."""
    if torch.cuda.is_available() and not cpu:
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # Older releases of torch do not tell: float32 is then the safe choice.
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def _best_device() -> torch.device:
    return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
