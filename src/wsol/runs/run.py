"""A run folder: all that is needed to use, repeat or continue a training."""

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
from wsol.models.create import load_weights
from wsol.runs.hub import local_run
from wsol.types import Normalization, Precision


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


MOST_PIXELS = 10_000
"""Side of an input at most, so that a stranger's run does not ask for all memory."""

NOTHING: Mapping[str, Tensor] = MappingProxyType({})


@dataclass(frozen=True)
class RunInfo:
    """What a trained network needs beside its weights, kept as ``model.json``.

    Args:
        backbone: name of the network.
        output_stride: as given to ``create_network``.
        classes: names, in the order of the logits.
        image_size: side of the network's input in pixels.
        localizer: name of the localizer that the threshold was chosen for.
        layers: its layers.
        affinity: module whose features its maps follow.
        flip: whether it looks at flipped images too.
        scales: of the images that it looks at.
        normalization: how its maps are scaled to [0, 1].
        threshold: share of a map's maximum above which a pixel belongs to the object.
        threshold_from: ``val`` where it was chosen on the ground truth of val, ``pseudo_boxes``
            where it was chosen without ground truth; otherwise it is not kept, and maps are cut at
            their own threshold, see ``wsol.localizers.config.resolve_threshold``.
        data: folder of the data set that it was trained on.
        boxes: file of true boxes, where one was given.
        val_fraction: share of the training images that was kept for choosing the threshold.
        seed: of that choice.
        splits: folder of published splits, where one was given.
        labels: file of labels, where one was given.
        is_multi_label: whether images had several labels, so that each logit is a question of
            its own, answered by the sigmoid; otherwise all are one, answered by the softmax.
        split_folders: which folders of the data set are splits, as the option states it.
        method: the training method and its options, which tell what the head is.
        epoch: after which the weights were kept; None if unknown.
        epoch_from: ``last``, or what the best epoch was chosen by: ``ground_truth`` or
            ``pseudo_boxes`` of val.
        precision: that the threshold was chosen in, ``fp32``, ``bf16`` or ``fp16``, which ``auto``
            follows; None if unknown.
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
        """Refuse what no training writes."""
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
        """How score maps are read."""
        return LocalizerConfig.of(self)

    @property
    def choice(self) -> str:
        """What was chosen without ground truth, in words; empty where nothing was.

        >>> info = RunInfo("resnet18", 16, ("a",), 224, "cam", 0.2, "val", "", None, 0.1, 0)
        >>> from dataclasses import replace
        >>> info.choice, replace(info, epoch=3, epoch_from="pseudo_boxes").choice
        ('', 'epoch chosen without ground truth')
        """
        sources = {"epoch": self.epoch_from, "threshold": self.threshold_from}
        chosen = [name for name, source in sources.items() if source == "pseudo_boxes"]
        return f"{' and '.join(chosen)} chosen without ground truth" if chosen else ""

    def thresholding(self, options: object = None) -> Thresholding:
        """Return how score maps are read and cut.

        Args:
            options: options as for ``resolve_threshold``.

        Raises:
            ConfigError: they do not fit each other.
        """
        source: Chosen = "pseudo_boxes" if self.threshold_from == "pseudo_boxes" else "val"
        chosen = self.threshold if self.threshold_from == source else None
        return resolve_threshold(self.localizer_config, chosen, options, source)


def save_run(
    folder: Path, network: Network, info: RunInfo, fitted: Mapping[str, Tensor] = NOTHING
) -> None:
    """Write ``model.safetensors`` and ``model.json``, each whole or not at all.

    Args:
        folder: the run folder; it exists.
        network: its weights are stored contiguous, so equal weights give equal files.
        info: the rest.
        fitted: what the localizer has learnt from images, for ``localizer.safetensors``.
    """
    if fitted:
        write_tensors(folder / "localizer.safetensors", fitted)
    write_json(folder / "model.json", asdict(info))
    write_tensors(folder / "model.safetensors", network.state_dict())


def load_run(folder: Path) -> tuple[Network, RunInfo]:
    """Return the network of a run, in evaluation mode on the CPU, and what belongs to it.

    Args:
        folder: of the run, or its name on the Hub.

    Raises:
        RunError: not a finished run, or its files do not fit together.
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
    """Return the description of a run, without its network.

    Args:
        folder: of the run, or its name on the Hub.

    Raises:
        RunError: not a finished run.
    """
    folder = local_run(folder)
    _find_weights(folder)
    try:
        content = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        given = dict(content)
        lists = {
            name: tuple(given.get(name, ()))
            for name in ("classes", "layers", "scales", "split_folders")
        }
        return RunInfo(**given | lists)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise RunError(f"{folder / 'model.json'}: not a run's description: {error}") from error


def load_fitted(folder: Path, localizer: ScoreMaps) -> bool:
    """Give a localizer what it had learnt from images when the run was made.

    Args:
        folder: the run, or its name on the Hub.
        localizer: the run's.

    Returns:
        Whether the run has any.

    Raises:
        RunError: the file cannot be read, or does not fit.
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
    """Give a network the weights of a run; its head stays new where the run has another one.

    Args:
        network: to be trained.
        folder: a run of the same backbone, of any classes, or its name on the Hub.

    Raises:
        RunError: not a finished run, or one of another backbone.
    """
    weights = _find_weights(local_run(folder))
    try:
        given = read_tensors(weights)
    except SafetensorError as error:
        raise RunError(f"{weights}: cannot be read: {error}") from error
    expected = network.state_dict()
    fits = {
        name
        for name, value in expected.items()
        if name in given and given[name].shape == value.shape
    }
    head = {name for name in expected if name.startswith("head.")}
    # A head of which only a part fits is of other classes.
    new = set() if head <= fits else head
    for name in expected:
        if name not in fits | new:
            raise RunError(
                f"{weights}: {name} is missing or of another shape: start from a run of the same "
                "--backbone"
            )
    load_weights(
        network,
        {name: value if name in new else given[name] for name, value in expected.items()},
    )


def _find_weights(folder: Path) -> Path:
    weights = folder / "model.safetensors"
    if not weights.is_file():
        hint = (
            "its training has not finished; go on with wsol train --resume"
            if (folder / "config.yaml").is_file()
            else "give a folder that wsol train wrote"
        )
        raise RunError(f"{folder}: no finished run here: {hint}")
    return weights


def _method(saved: dict[str, Any]) -> MethodConfig:
    """Return a training method's options as JSON has them, where tuples are lists."""
    options = {
        name: tuple(value) if isinstance(value, list) else value for name, value in saved.items()
    }
    config: Callable[..., MethodConfig] = method_config(saved["name"])
    return config(**options)
