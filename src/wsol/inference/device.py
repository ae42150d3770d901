"""Device and precision of networks."""

import atexit
import logging
import os
import shutil
import warnings
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

import torch
from accelerate import Accelerator, PartialState
from accelerate.state import AcceleratorState, is_initialized

from wsol.errors import ConfigError
from wsol.types import Precision

log = logging.getLogger("wsol")

_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Compute:
    """Device and precision of a network, and the index of this process.

    A process may have multiple instances; unlike accelerate's, the precision is not global.

    Attributes:
        device: device of the network and its input.
        precision: ``fp32``, ``bf16`` or ``fp16``.
        process_index: index of this process.
        num_processes: number of processes that share the work.
    """

    device: torch.device
    precision: Precision = "fp32"
    process_index: int = 0
    num_processes: int = 1

    @property
    def is_main_process(self) -> bool:
        """Whether this process writes files and prints."""
        return self.process_index == 0

    def autocast(self) -> AbstractContextManager[object]:
        """Return a context in which the network computes in this precision.

        ``fp32`` has no effect, so an outer autocast stays active.

        >>> with Compute(torch.device("cpu"), "bf16").autocast():
        ...     torch.get_autocast_dtype("cpu"), torch.is_autocast_enabled("cpu")
        (torch.bfloat16, True)
        """
        dtype = _DTYPES.get(self.precision)
        return nullcontext() if dtype is None else torch.autocast(self.device.type, dtype)


def announce(compute: Compute, device: str) -> None:
    """Log device and precision, and warn of an NVIDIA GPU that torch cannot use."""
    if not compute.is_main_process:
        return
    is_cuda = compute.device.type == "cuda"
    name = torch.cuda.get_device_name(compute.device) if is_cuda else compute.device.type
    count = f", {compute.num_processes} processes" if compute.num_processes > 1 else ""
    log.info("computing on %s in %s%s", name, compute.precision, count)
    reason = _why_no_gpu() if device == "auto" and compute.device.type == "cpu" else None
    if reason is not None:
        log.warning(
            "NVIDIA GPU found, but torch %s cannot use it (%s); install a matching driver and "
            "build of torch, or use --device cpu",
            torch.__version__,
            reason,
        )


def _why_no_gpu() -> str | None:
    """Return why an NVIDIA GPU is not used; None if there is none, or if it is hidden."""
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES", "all").strip() in ("", "-1")
    if hidden or not (shutil.which("nvidia-smi") or any(Path("/dev").glob("nvidia[0-9]*"))):
        return None
    other = "no usable driver" if torch.version.cuda else "it was built without CUDA"
    return _cuda_warning() or other


@cache
def _cuda_warning() -> str:
    """Return the warning that torch emits when it first initializes CUDA, or empty text."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        torch.cuda.is_available()
    return str(said[0].message).splitlines()[0] if said else ""


def choose_device(device: str) -> torch.device:
    """Return an available device; ``auto`` is a GPU if available.

    Raises:
        ConfigError: the device is not available.

    >>> choose_device("cpu")
    device(type='cpu')
    """
    # Must be the first access to CUDA, so that its warning is only part of our log line.
    _cuda_warning()
    best = torch.accelerator.current_accelerator(check_available=True)
    if device == "auto":
        return best or torch.device("cpu")
    chosen = torch.device(device)
    has_type = chosen.type == "cpu" or (best is not None and best.type == chosen.type)
    has_index = not chosen.index or (has_type and chosen.index < torch.accelerator.device_count())
    if not (has_type and has_index):
        raise ConfigError(f"device: {device!r} is not available to torch; use auto or cpu")
    return chosen


def choose_compute(precision: Precision, device: str, of_run: Precision | None = None) -> Compute:
    """Return device and precision for commands other than training, see ``choose_precision``.

    Raises:
        ConfigError: the device is not available, or float16 is requested on the CPU.

    >>> choose_compute("fp32", "cpu")
    Compute(device=device(type='cpu'), precision='fp32', process_index=0, num_processes=1)
    """
    chosen = choose_device(device)
    precision = choose_precision(precision, device, of_run)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        state = PartialState(cpu=chosen.type == "cpu")
        _end_group_at_exit()
        return Compute(state.device, precision, state.process_index, state.num_processes)
    return Compute(chosen, precision)


def make_accelerator(precision: Precision, device: str) -> tuple[Accelerator, Compute]:
    """Return accelerate's ``Accelerator`` for training, with its device and precision.

    Raises:
        ConfigError: the device is not available, float16 is requested on the CPU, this process has
            already trained with another precision or device, or accelerate rejects its environment.
    """
    chosen = choose_device(device)
    precision = choose_precision(precision, device)
    # accelerate has one precision per process; it only needs to handle float16, whose gradients
    # it scales.
    mixed = "fp16" if precision == "fp16" else "no"
    _check_same_as_before(precision, mixed, chosen)
    if chosen.index is not None:
        torch.accelerator.set_device_index(chosen.index)
    try:
        accelerator = Accelerator(cpu=chosen.type == "cpu", mixed_precision=mixed)
    except ValueError as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ConfigError(
            f"accelerate: {reason}; check its ACCELERATE_* environment variables and "
            "accelerate config"
        ) from error
    _end_group_at_exit()
    return accelerator, Compute(
        accelerator.device, precision, accelerator.process_index, accelerator.num_processes
    )


def _end_group_at_exit() -> None:
    """Destroy the process group of this process, if it has one, before the interpreter exits.

    Otherwise threads of the group may still run when they are destroyed, which aborts the process.
    """
    atexit.unregister(_end_group)
    atexit.register(_end_group)


def _end_group() -> None:
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def _check_same_as_before(precision: Precision, mixed: str, device: torch.device) -> None:
    """Raise an error if accelerate was initialized with other values in this process."""
    if not is_initialized():
        return
    before = AcceleratorState()
    if before.mixed_precision != mixed or (device.type == "cpu" and before.device.type != "cpu"):
        raise ConfigError(
            f"precision {precision}, device {device}: this process has trained with other values; "
            "use the same values, or start a new process"
        )


def choose_precision(
    precision: Precision, device: str, of_run: Precision | None = None
) -> Precision:
    """Resolve a precision to ``fp32``, ``bf16`` or ``fp16``.

    The precision slightly changes score maps, and thereby boxes. A threshold is valid for the
    precision it was chosen in, so ``auto`` is the run's precision, and any other is logged. Without
    a known one, ``auto`` is bfloat16 if the hardware supports it.

    Raises:
        ConfigError: float16 is requested on the CPU, which supports too few operations in it.

    >>> choose_precision("fp32", "cpu"), choose_precision("auto", "cpu", of_run="fp32")
    ('fp32', 'fp32')
    """
    chosen = choose_device(device)
    # float32 replaces what the hardware only emulates.
    supported = {"fp32": True, "bf16": has_bfloat16(chosen), "fp16": has_float16(chosen)}
    if precision == "fp16" and not supported["fp16"]:
        raise ConfigError("precision: fp16 needs a GPU; use bf16 or fp32 on the CPU")
    if precision == "auto":
        precision = of_run or "bf16"
        precision = precision if supported[precision] else "fp32"
    if of_run is not None and of_run != precision:
        _warn_of_precision(of_run, precision)
    return precision


# Cached to avoid a repeated warning, as some commands open a run more than once.
@lru_cache(maxsize=1)
def _warn_of_precision(of_run: Precision, precision: Precision) -> None:
    log.warning(
        "precision is %s, but the run's threshold was chosen in %s: boxes may differ slightly",
        precision,
        of_run,
    )


def has_bfloat16(device: torch.device) -> bool:
    """Return whether a device has native bfloat16."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # Older releases of torch have no such query: float32 is then the safe choice.
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def has_float16(device: torch.device) -> bool:
    """Return whether a device supports float16: all but CPUs, which lack operations.

    >>> has_float16(torch.device("cpu"))
    False
    """
    return device.type != "cpu"
