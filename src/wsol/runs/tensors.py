"""Files of tensors, in safetensors' format: names, numbers and nothing that runs."""

from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import load, save
from torch import Tensor

from wsol._utils.files import write_atomically


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a file by name.

    Args:
        path: of the file, which may have any name, as safetensors' own reader may not.

    Raises:
        OSError: it cannot be read.
        SafetensorError: it holds something else.
    """
    return load(path.read_bytes())


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors, whole or not at all; equal ones give equal files.

    Args:
        path: of the file.
        tensors: by name, on any device.

    >>> import tempfile, torch
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_tensors(Path(folder, "a"), {"x": torch.arange(6).reshape(2, 3).T})
    ...     read_tensors(Path(folder, "a"))["x"].shape
    torch.Size([3, 2])
    """
    content = pack(tensors)
    write_atomically(path, lambda part: part.write_bytes(content))


def pack(tensors: Mapping[str, Tensor]) -> bytes:
    """Return what a file of tensors holds.

    Args:
        tensors: by name, on any device.
    """
    return save({name: value.cpu().contiguous() for name, value in tensors.items()})
