"""Files of published weights, read without running anything that is in them."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from wsol.errors import ConfigError, raise_if_out_of_memory

FIRST = {
    "tensorpack": {"conv0/W": "resnet50_se", "conv1_1/W": "vgg_gap"},
    "wsolevaluation": {
        "features.0.weight": "vgg16",
        "conv1.weight": "resnet50",
        "Conv2d_1a_3x3.conv.weight": "inception_v3",
    },
}
"""A layer that one network of a family has and the others have not."""

LARGEST = 4 * 10**9
"""Bytes of the largest weights that are unpacked; those of a VGG16 are half a gigabyte."""

CLASSIFIERS = (
    *("linearnew/b", "linear/b", "fc.bias", "SPG_A4.bias", "SPG_A_4.bias"),
    "classifier_A.4.bias",
)


def read_published(path: Path, family: str) -> dict[str, Any]:
    """Return the arrays or tensors of a file by name.

    Args:
        path: an ``.npz`` of tensorpack, or a checkpoint or state dict of torch.
        family: tensorpack or wsolevaluation.

    Raises:
        ConfigError: the file cannot be read, or holds something else.
    """
    try:
        _check_size(path)
        if family == "tensorpack":
            with np.load(path, allow_pickle=False) as file:
                return {name.removesuffix(":0"): file[name] for name in file.files}
        content = torch.load(path, map_location="cpu", weights_only=True)
        content = content.get("state_dict", content)
        tensors = {str(name): torch.as_tensor(value) for name, value in content.items()}
    except ConfigError:
        raise
    except (OSError, ValueError, zipfile.BadZipFile, EOFError) as error:
        raise ConfigError(f"{path}: cannot be read: {_line(error)}") from error
    except Exception as error:
        raise_if_out_of_memory(error)
        # torch names what it refuses by many kinds of error.
        raise ConfigError(f"{path}: holds no weights of {family}: {_line(error)}") from error
    return {name.removeprefix("module."): value for name, value in tensors.items()}


def _check_size(path: Path) -> None:
    """Refuse a file of few bytes that would unpack to more than there is memory."""
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        size = sum(member.file_size for member in archive.infolist())
    if size > LARGEST:
        raise ConfigError(f"{path}: {size:,} bytes are more than {LARGEST:,}; refused")


def network_in(weights: Mapping[str, Any], family: str) -> str | None:
    """Return the name of the network that weights are of, where their names tell.

    >>> network_in({"conv0/W": 0}, "tensorpack")
    'tensorpack/resnet50_se'
    """
    found = [f"{family}/{name}" for layer, name in FIRST[family].items() if layer in weights]
    return found[0] if len(found) == 1 else None


def method_in(weights: Mapping[str, Any]) -> str:
    """Return the method whose head weights have; ADL has that of plain training.

    >>> method_in({"classifier_B.0.bias": 0}), method_in({"fc.bias": 0})
    ('acol', 'none')
    """
    if any(name.startswith("classifier_B.") for name in weights):
        return "acol"
    return "spg" if any(name.startswith("SPG_B") for name in weights) else "none"


def num_classes_in(weights: Mapping[str, Any]) -> int | None:
    """Return the number of classes of weights with a classifier, None without one.

    >>> num_classes_in({"fc.bias": torch.zeros(5)})
    5
    """
    for name in CLASSIFIERS:
        if name in weights:
            return int(weights[name].shape[0])
    return None


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
