"""Run folders: everything needed to use, repeat or resume a training."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from wsol._utils.files import write_atomically, write_json
from wsol.errors import ConfigError, RunError
from wsol.localizers import ScoreMaps
from wsol.localizers.config import Chosen, LocalizerConfig, Thresholding, resolve_threshold
from wsol.methods import MethodConfig, method_config
from wsol.methods.network import build_network
from wsol.models import Network
from wsol.models.utils import load_weights
from wsol.runs.hub import local_run
from wsol.types import Normalization, Precision


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a file; unlike with safetensors' reader, its path may be any bytes.

    Raises:
        OSError: the file cannot be read.
        SafetensorError: the file has another format.
    """
    return load(path.read_bytes())


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors, on any device, atomically; equal tensors give equal files."""
    content = pack(tensors)
    write_atomically(path, lambda part: part.write_bytes(content))


def pack(tensors: Mapping[str, Tensor]) -> bytes:
    """Return the content of a tensor file; tensors may be on any device."""
    return save({name: value.cpu().contiguous() for name, value in tensors.items()})


MOST_PIXELS = 10_000
"""Maximum input side, so that an untrusted run cannot exhaust the memory."""

NOTHING: Mapping[str, Tensor] = MappingProxyType({})


@dataclass(frozen=True)
class RunInfo:
    """Information stored with a trained network, as ``model.json``.

    Args:
        backbone: backbone name.
        output_stride: argument of ``create_network``.
        classes: class names, in the order of the logits.
        image_size: side of the network's input in pixels.
        localizer: localizer that the threshold was chosen for.
        layers: layers of the localizer.
        affinity: module whose features refine its maps.
        flip: whether maps are averaged with those of the flipped image.
        scales: relative image sizes that maps are averaged over.
        normalization: normalization of its maps to [0, 1].
        threshold: fraction of a map's maximum above which a pixel belongs to the object.
        threshold_from: ``val`` if the threshold was chosen on the ground truth of val,
            ``pseudo_boxes`` if it was chosen without ground truth; otherwise it is ignored, and
            each map has a threshold, see ``wsol.localizers.config.resolve_threshold``.
        data: folder of the training data set.
        boxes: file of ground-truth boxes, if given.
        val_fraction: fraction of the training images held out to choose the threshold.
        seed: random seed of that split.
        splits: folder of published splits, if given.
        labels: file of labels, if given.
        is_multi_label: whether training images had multiple labels, so that the logits are
            independent, with sigmoid probabilities; otherwise probabilities are the softmax.
        split_folders: folders of the data set that are splits, as in the option.
        method: training method and its options, which determine the head.
        epoch: epoch of the weights; None if unknown.
        epoch_from: ``last``, or the boxes that selected the best epoch: ``ground_truth`` or
            ``pseudo_boxes`` of val.
        precision: precision that the threshold was chosen in, ``fp32``, ``bf16`` or ``fp16``, used
            by ``auto``; None if unknown.
    """

    backbone: str
    output_stride: int | None
    classes: tuple[str, ...]
    image_size: int
    localizer: str
    threshold: float
    threshold_from: str
    data: str
    boxes: str | None
    val_fraction: float
    seed: int
    splits: str | None = None
    method: dict[str, Any] = field(default_factory=lambda: {"name": "none"})
    layers: tuple[str, ...] = ()
    affinity: str = ""
    flip: bool = False
    scales: tuple[float, ...] = ()
    normalization: Normalization = "minmax"
    labels: str | None = None
    is_multi_label: bool = False
    split_folders: tuple[str, ...] = ()
    precision: Precision | None = None
    epoch: int | None = None
    epoch_from: Literal["last", "ground_truth", "pseudo_boxes"] = "last"

    def __post_init__(self) -> None:
        """Raise an error for values that no training writes."""
        sound = {
            "backbone": isinstance(self.backbone, str),
            "output_stride": isinstance(self.output_stride, int | None),
            "classes": self.classes and all(isinstance(name, str) for name in self.classes),
            "method": isinstance(self.method, dict) and isinstance(self.method.get("name"), str),
            "image_size": isinstance(self.image_size, int) and 0 < self.image_size <= MOST_PIXELS,
            "localizer": isinstance(self.localizer, str),
            "threshold": isinstance(self.threshold, float | int),
            "is_multi_label": isinstance(self.is_multi_label, bool),
            "precision": self.precision in (None, "fp32", "bf16", "fp16"),
        }
        for name, good in sound.items():
            if not good:
                raise ValueError(f"{name} is {getattr(self, name)!r}")

    @property
    def localizer_config(self) -> LocalizerConfig:
        """Localizer options."""
        return LocalizerConfig.of(self)

    @property
    def choice(self) -> str:
        """Selections made without ground truth, in words; empty if there are none.

        >>> info = RunInfo("resnet18", 16, ("a",), 224, "cam", 0.2, "val", "", None, 0.1, 0)
        >>> from dataclasses import replace
        >>> info.choice, replace(info, epoch=3, epoch_from="pseudo_boxes").choice
        ('', 'epoch chosen without ground truth')
        """
        sources = {"epoch": self.epoch_from, "threshold": self.threshold_from}
        chosen = [name for name, source in sources.items() if source == "pseudo_boxes"]
        return f"{' and '.join(chosen)} chosen without ground truth" if chosen else ""

    def thresholding(self, options: object = None) -> Thresholding:
        """Return the localizer options and threshold, see ``resolve_threshold``."""
        source: Chosen = "pseudo_boxes" if self.threshold_from == "pseudo_boxes" else "val"
        chosen = self.threshold if self.threshold_from == source else None
        return resolve_threshold(self.localizer_config, chosen, options, source)


def save_run(
    folder: Path, network: Network, info: RunInfo, fitted: Mapping[str, Tensor] = NOTHING
) -> None:
    """Write the files of a run, with the fitted state of its localizer, each atomically.

    Equal weights give equal files.
    """
    if fitted:
        write_tensors(folder / "localizer.safetensors", fitted)
    write_json(folder / "model.json", asdict(info))
    write_tensors(folder / "model.safetensors", network.state_dict())


def load_run(folder: Path) -> tuple[Network, RunInfo]:
    """Return the network of a run, in evaluation mode on the CPU, and its info.

    Args:
        folder: run folder, or its name on the Hub.

    Raises:
        RunError: not a finished run, or its files do not match.
    """
    folder = local_run(folder)
    weights, info = _find_weights(folder), load_info(folder)
    try:
        network = build_network(
            info.backbone,
            num_classes=len(info.classes),
            method=_method(info.method),
            output_stride=info.output_stride,
            pretrained=False,
            size=info.image_size,
        )
    except (ConfigError, TypeError) as error:
        raise RunError(f"{folder / 'model.json'}: {error}") from error
    try:
        load_weights(network, read_tensors(weights))
    except (ConfigError, SafetensorError) as error:
        reason = str(error).splitlines()[0]
        raise RunError(f"{weights}: the weights do not fit model.json: {reason}") from error
    return network.eval(), info


def load_info(folder: Path) -> RunInfo:
    """Return the info of a run, a folder or name on the Hub, without its network.

    Raises:
        RunError: not a finished run.
    """
    folder = local_run(folder)
    _find_weights(folder)
    try:
        given = dict(json.loads((folder / "model.json").read_text(encoding="utf-8")))
        for name in ("classes", "layers", "scales", "split_folders"):
            given[name] = tuple(given.get(name, ()))
        return RunInfo(**given)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise RunError(f"{folder / 'model.json'}: not the info of a run: {error}") from error


def load_fitted(folder: Path, localizer: ScoreMaps) -> bool:
    """Load the fitted state of a run's localizer, and return whether the run has one.

    Raises:
        RunError: the file is unreadable, or does not match.
    """
    file = local_run(folder) / "localizer.safetensors"
    if not file.is_file():
        return False
    try:
        localizer.load_state(read_tensors(file))
    except (ConfigError, SafetensorError) as error:
        raise RunError(f"{file}: {error}") from error
    return True


def load_start(network: Network, folder: Path) -> None:
    """Load the weights of a run into a network; the head stays new if the run's differs.

    Raises:
        RunError: not a finished run, or one with another backbone.
    """
    weights = _find_weights(local_run(folder))
    try:
        given = read_tensors(weights)
    except SafetensorError as error:
        raise RunError(f"{weights}: cannot be read: {error}") from error
    expected = network.state_dict()
    shapes = {name: value.shape for name, value in given.items()}
    fits = {name for name, value in expected.items() if shapes.get(name) == value.shape}
    head = {name for name in expected if name.startswith("head.")}
    # A head that matches only partly belongs to other classes.
    new = set() if head <= fits else head
    for name in expected:
        if name not in fits | new:
            raise RunError(
                f"{weights}: {name} is missing or has another shape; use a run with the same "
                "--backbone"
            )
    load_weights(network, {name: (expected if name in new else given)[name] for name in expected})


def _find_weights(folder: Path) -> Path:
    weights = folder / "model.safetensors"
    if not weights.is_file():
        hint = (
            "its training has not finished; resume it with wsol train --resume"
            if (folder / "config.yaml").is_file()
            else "use a folder written by wsol train"
        )
        raise RunError(f"{folder}: no finished run here: {hint}")
    return weights


def _method(saved: dict[str, Any]) -> MethodConfig:
    """Return a training method's options from JSON, in which tuples are lists."""
    options = {
        name: tuple(value) if isinstance(value, list) else value for name, value in saved.items()
    }
    config: Callable[..., MethodConfig] = method_config(saved["name"])
    return config(**options)
