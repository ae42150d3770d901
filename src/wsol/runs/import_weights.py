"""Import of published weights as a run folder."""

import zipfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from wsol._utils.files import make_folder
from wsol.data.names import class_name
from wsol.errors import ConfigError, did_you_mean, raise_if_out_of_memory
from wsol.localizers.config import LocalizerConfig, resolve_threshold
from wsol.methods.network import build_network, choose_method
from wsol.models.published import published_names
from wsol.runs.config import ImportConfig
from wsol.runs.hub import first_line
from wsol.runs.run import RunInfo, save_run

FIRST = {
    "tensorpack": {"conv0/W": "resnet50_se", "conv1_1/W": "vgg_gap"},
    "wsolevaluation": {
        "features.0.weight": "vgg16",
        "conv1.weight": "resnet50",
        "Conv2d_1a_3x3.conv.weight": "inception_v3",
    },
}
"""A layer that only one network of a family has."""

LARGEST = 4 * 10**9
"""Maximum size of unpacked weights in bytes; those of a VGG16 are half a gigabyte."""

CLASSIFIERS = (
    *("linearnew/b", "linear/b", "fc.bias", "SPG_A4.bias", "SPG_A_4.bias"),
    "classifier_A.4.bias",
)


def read_published(path: Path, family: str) -> dict[str, Any]:
    """Return the arrays or tensors of a file by name.

    Raises:
        ConfigError: the file is unreadable, or has other content.
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
        raise ConfigError(f"{path}: cannot be read: {first_line(error)}") from error
    except Exception as error:
        raise_if_out_of_memory(error)
        # torch raises many kinds of errors for rejected files.
        raise ConfigError(
            f"{path}: contains no weights of {family}: {first_line(error)}"
        ) from error
    return {name.removeprefix("module."): value for name, value in tensors.items()}


def _check_size(path: Path) -> None:
    """Raise an error for a small file that would exceed the memory when unpacked."""
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        size = sum(member.file_size for member in archive.infolist())
    if size > LARGEST:
        raise ConfigError(f"{path}: {size:,} bytes exceed the maximum of {LARGEST:,}")


def network_in(weights: Mapping[str, Any], family: str) -> str | None:
    """Return the name of the network of weights, or None if their names are ambiguous.

    >>> network_in({"conv0/W": 0}, "tensorpack")
    'tensorpack/resnet50_se'
    """
    found = [f"{family}/{name}" for layer, name in FIRST[family].items() if layer in weights]
    return found[0] if len(found) == 1 else None


def method_in(weights: Mapping[str, Any]) -> str:
    """Return the method of the head in weights; ADL has that of plain training.

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


def import_run(config: ImportConfig) -> Path:
    """Write a run folder for ``wsol predict`` and ``wsol evaluate``.

    tensorpack's weights expect BGR images; they are converted to RGB, so that the run takes images
    like any other.

    Args:
        config: import options.

    Returns:
        The run folder.

    Raises:
        ConfigError: the file is unreadable or does not fit, or the folder is in use or cannot be
            written.
    """
    if (config.out / "model.json").exists():
        raise ConfigError(f"{config.out}: contains a run; use another --out")
    make_folder(config.out)
    weights = read_published(config.file, config.family)
    name = config.network or network_in(weights, config.family)
    known = [known for known in published_names() if known.startswith(config.family)]
    if name is None:
        raise ConfigError(f"{config.file}: unknown network; set --network to one of {known}")
    if name not in known:
        raise ConfigError(f"no network {name!r}: {did_you_mean(name, known)}")
    count = num_classes_in(weights)
    if count is None:
        raise ConfigError(
            f"{config.file}: has no classifier, so it cannot predict; use it to start a training"
        )
    classes = _classes(config.classes, count)
    method = choose_method(name, method_in(weights), {})
    stride = 8 if config.large_feature_map else 16
    network = build_network(name, num_classes=count, method=method, output_stride=stride)
    try:
        network.load_published(weights)
    except ConfigError as error:
        raise ConfigError(f"{config.file}: {error}") from error
    if config.family == "tensorpack":
        with torch.no_grad():
            first = next(network.body.parameters())
            first.copy_(first.flip(1))
    localizer_config, threshold, threshold_from = resolve_threshold(LocalizerConfig())
    info = RunInfo(
        backbone=name,
        output_stride=stride,
        classes=classes,
        image_size=config.image_size,
        **asdict(localizer_config),
        threshold=threshold,
        threshold_from=threshold_from,
        data="",
        boxes=None,
        val_fraction=0.0,
        seed=0,
        method=asdict(method),
    )
    save_run(config.out, network, info)
    return config.out


def _classes(path: Path | None, count: int) -> tuple[str, ...]:
    """Return the names in a file, one per line, or numbers."""
    if path is None:
        return tuple(map(str, range(count)))
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    names = tuple(map(class_name, lines))
    if len(names) != count:
        raise ConfigError(f"{path}: has {len(names)} lines, but the weights have {count} classes")
    return names
