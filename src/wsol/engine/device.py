"""Where and how exactly the network computes."""

import torch
from accelerate import Accelerator

from wsol.engine.config import Precision
from wsol.errors import ConfigError

_ACCELERATE_NAMES = {"fp32": "no", "bf16": "bf16", "fp16": "fp16"}


def make_accelerator(precision: Precision, cpu: bool) -> Accelerator:
    """Return an accelerator for the chosen precision and device.

    Args:
        precision: auto takes bfloat16 where the processor computes in it.
        cpu: stay on the CPU even where there is a GPU.

    Raises:
        ConfigError: this process computes otherwise already.
    """
    name = _ACCELERATE_NAMES[choose_precision(precision, cpu)]
    try:
        return Accelerator(cpu=cpu, mixed_precision=name)
    except ValueError as error:
        raise ConfigError(
            f"precision {precision}, cpu {cpu}: this process has begun with others: give the "
            "same again, or start another process"
        ) from error


def choose_precision(precision: Precision, cpu: bool) -> str:
    """Return ``fp32``, ``bf16`` or ``fp16``.

    Args:
        precision: auto takes bfloat16 where the processor computes in it.
        cpu: stay on the CPU even where there is a GPU.

    >>> choose_precision("fp32", cpu=True)
    'fp32'
    """
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
