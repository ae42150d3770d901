"""A run folder from a file of published weights."""

from dataclasses import asdict
from pathlib import Path

import torch

from wsol._utils.files import make_folder
from wsol.data.annotations.names import class_name
from wsol.errors import ConfigError, did_you_mean
from wsol.localizers.config import Reading, chosen_cutting
from wsol.methods.network import build_network, choose_method
from wsol.models.published import published_names
from wsol.models.published.read import method_in, network_in, num_classes_in, read_published
from wsol.runs.config import ImportConfig
from wsol.runs.run import RunInfo, save_run


def import_run(config: ImportConfig) -> Path:
    """Write a run folder that ``wsol predict`` and ``wsol evaluate`` take.

    The colours of tensorpack's weights are turned from blue, green, red into red, green, blue, so
    that the run takes pictures like any other.

    Args:
        config: the options.

    Returns:
        The run folder.

    Raises:
        ConfigError: the file cannot be read or does not fit, or the folder is taken or cannot be
            written.
    """
    if (config.out / "model.json").exists():
        raise ConfigError(f"{config.out}: holds a run already: give another --out")
    make_folder(config.out)
    weights = read_published(config.file, config.family)
    name = config.network or network_in(weights, config.family)
    known = [known for known in published_names() if known.startswith(config.family)]
    if name is None:
        raise ConfigError(f"{config.file}: cannot tell its network: give --network, one of {known}")
    if name not in known:
        raise ConfigError(f"no network {name!r}: {did_you_mean(name, known)}")
    count = num_classes_in(weights)
    if count is None:
        raise ConfigError(
            f"{config.file}: has no classifier, so it predicts nothing: it is a start for training"
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
    reading, threshold, threshold_from = chosen_cutting(Reading())
    info = RunInfo(
        backbone=name,
        output_stride=stride,
        classes=classes,
        size=config.size,
        **asdict(reading),
        threshold=threshold,
        threshold_from=threshold_from,
        data="",
        boxes=None,
        val_share=0.0,
        seed=0,
        method=asdict(method),
    )
    save_run(config.out, network, info)
    return config.out


def _classes(path: Path | None, count: int) -> tuple[str, ...]:
    """Return the names in a file, one a line, or numbers."""
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
