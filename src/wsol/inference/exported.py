"""Exported graphs: images in, logits and score maps out."""

import json
import zipfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from wsol.errors import ConfigError, RunError, not_installed, raise_if_out_of_memory
from wsol.localizers import Localized, ScoreMaps
from wsol.localizers._forward import ForwardPass, Images
from wsol.localizers.base import Labels, chosen_labels
from wsol.localizers.config import LocalizerConfig
from wsol.runs.hub import is_on_hub
from wsol.types import EXPORT_SUFFIXES, ExportFormat, Precision

FORMATS = {ending: form for form, ending in EXPORT_SUFFIXES.items()}
"""By how the name of a file ends."""

KEY = "wsol"
"""Of the description in ONNX's metadata."""

EXTRA_FILE = "wsol.json"
"""Of the description in torch's file."""

Forward = Callable[[Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class ExportedInfo:
    """What a graph needs beside itself, kept in its file as JSON.

    Args:
        classes: names, in the order of the logits.
        image_size: side of the images in pixels.
        threshold: share of a map's maximum above which a pixel belongs to the object.
        is_multi_label: whether the sigmoid, not the softmax, makes probabilities of the logits.
        localizer_config: how the maps are made, and how they are to be scaled to [0, 1].
        mean: taken from the images inside the graph, per colour, on the scale of [0, 1].
        std: the same for the standard deviation.
        version: of the wsol that wrote it.
        precision: that it computes in.
        threshold_from: as ``wsol.localizers.config.Thresholding`` has it.

    >>> half = (0.5, 0.5, 0.5)
    >>> info = ExportedInfo(("cat", "dog"), 224, 0.2, False, LocalizerConfig(), half, half, "1.0")
    >>> ExportedInfo.from_json(info.to_json()) == info
    True
    """

    classes: tuple[str, ...]
    image_size: int
    threshold: float
    is_multi_label: bool
    localizer_config: LocalizerConfig = field(default_factory=LocalizerConfig)
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    version: str = ""
    precision: Precision = "fp32"
    threshold_from: str = "val"

    @property
    def chosen_threshold(self) -> float | None:
        """The threshold; None where each map is cut at its own."""
        return None if self.threshold_from == "auto" else self.threshold

    def to_json(self) -> str:
        """Return all of it as one flat JSON object."""
        content = asdict(self)
        return json.dumps(content | content.pop("reading"))

    @classmethod
    def from_json(cls, text: str) -> "ExportedInfo":
        """Return what ``to_json`` wrote.

        Args:
            text: the JSON.

        Raises:
            ValueError: it is something else.
        """
        try:
            given: dict[str, Any] = {
                name: tuple(value) if isinstance(value, list) else value
                for name, value in json.loads(text).items()
            }
            localizer_config = {name: given.pop(name) for name in asdict(LocalizerConfig())}
            info = cls(**given, localizer_config=LocalizerConfig(**localizer_config))
            sound = (
                all(isinstance(name, str) for name in info.classes)
                and len(info.classes) > 0
                and isinstance(info.image_size, int)
                and info.image_size > 0
                and 0 <= info.threshold < 1
            )
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"not a description of a graph: {error}") from error
        if not sound:
            raise ValueError("not a description of a graph")
        return info


class ExportOutput(NamedTuple):
    """What a graph returns.

    Attributes:
        logits: float32 ``(N, classes)``.
        maps: of each image's likeliest class, float32 ``(N, S, S)``.
    """

    logits: Tensor
    maps: Tensor


class ExportedModel(nn.Module):
    """A graph as a classifier.

    Args:
        run: maps images to logits and maps.
        info: what belongs to it.
    """

    def __init__(self, run: Forward, info: ExportedInfo) -> None:
        """Keep both."""
        super().__init__()
        self.run, self.info = run, info

    def forward(self, images: Tensor) -> ExportOutput:
        """Return logits and maps of images, float32 ``(N, 3, S, S)`` in [0, 1]."""
        with torch.no_grad():
            return ExportOutput(*self.run(images))


class ExportedScoreMaps(ScoreMaps):
    """The maps that a graph makes: those of the likeliest class.

    Args:
        exported: an opened one.
    """

    def __init__(self, exported: ExportedModel) -> None:
        """Keep the graph; it has no layers."""
        self.model, self.layers, self.interpolation = exported, (), "bicubic"

    def locate(self, images: Images, labels: Labels = None) -> Localized:
        """Return logits, labels and maps; where several labels are asked for, the likeliest alone.

        Args:
            images: in [0, 1], ``(N, 3, S, S)``.
            labels: see ``Labels``.

        Raises:
            ConfigError: another class is asked for.
        """
        if isinstance(images, ForwardPass):
            raise ConfigError("an exported graph takes images alone")
        logits, maps = self.model(images)
        chosen = chosen_labels(labels, logits)
        first = chosen if chosen.ndim == 1 else chosen[:, 0]
        if not torch.equal(first, logits.argmax(1)):
            raise ConfigError(
                "an exported graph has a map of each image's likeliest class alone: "
                "give --run the run folder to look for another"
            )
        if chosen.ndim == 1:
            return Localized(logits, chosen, maps)
        return Localized(logits, chosen[:, :1], maps[:, None])


def is_exported(path: Path) -> bool:
    """Return whether a path is that of an exported file, not of a run folder.

    >>> [is_exported(Path(path)) for path in ("model.onnx", "runs/birds", "hf:me/a.onnx")]
    (True, False, False)
    """
    return not is_on_hub(path) and (path.suffix in FORMATS or path.is_file())


def load_exported(path: Path) -> ExportedModel:
    """Open an ONNX file that ``wsol export`` wrote.

    Args:
        path: the file.

    Raises:
        RunError: no such file, none that ``wsol export`` wrote, or one of torch's format, which
            could run programs here.
        ConfigError: onnxruntime is not installed.
    """
    form = FORMATS.get(path.suffix)
    if not path.is_file():
        raise RunError(f"{path}: no such file")
    if form is None:
        raise RunError(f"{path}: neither a run folder nor a graph (.onnx)")
    if form == "torch":
        raise RunError(
            f"{path}: opening torch's format can run any program that is hidden in the file: "
            "export the run with --format onnx"
        )
    return open_onnx(path)


def open_onnx(path: Path) -> ExportedModel:
    """Open an ONNX file, whatever its name.

    Args:
        path: the file.

    Raises:
        RunError: none that ``wsol export`` wrote.
        ConfigError: onnxruntime is not installed.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise not_installed("onnxruntime", "wsol[onnx]") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    # It writes what it raises to standard error as well.
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(
            path.read_bytes(), options, providers=["CPUExecutionProvider"]
        )
        info = ExportedInfo.from_json(session.get_modelmeta().custom_metadata_map[KEY])
    # onnxruntime's errors have no base of their own.
    except Exception as error:
        raise_if_out_of_memory(error)
        raise _foreign(path, error) from error

    def run(images: Tensor) -> tuple[Tensor, Tensor]:
        given = {"images": images.contiguous().numpy()}
        logits, maps = session.run(["logits", "maps"], given)
        return torch.from_numpy(np.asarray(logits)), torch.from_numpy(np.asarray(maps))

    return ExportedModel(run, info)


def open_own_torch(path: Path) -> ExportedModel:
    """Open a file of torch's format that this very program has written: it can run programs.

    Args:
        path: the file.

    Raises:
        RunError: none that ``wsol export`` wrote; its description is read before torch sees it.
    """
    try:
        with zipfile.ZipFile(path) as parts:
            (name,) = (each for each in parts.namelist() if each.endswith(f"extra/{EXTRA_FILE}"))
            info = ExportedInfo.from_json(parts.read(name).decode())
    except (OSError, zipfile.BadZipFile, ValueError) as error:
        raise _foreign(path, error) from error
    try:
        with path.open("rb") as file:
            module = torch.export.load(file).module()
    # A file can be broken in any way.
    except Exception as error:
        raise_if_out_of_memory(error)
        raise _foreign(path, error) from error
    # Hidden in a function, as its mode cannot be changed.
    return ExportedModel(lambda images: module(images), info)


def _foreign(path: Path, error: Exception) -> RunError:
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return RunError(f"{path}: not a whole graph that wsol export wrote: {reason}")


READERS: dict[ExportFormat, Callable[[Path], ExportedModel]] = {
    "onnx": open_onnx,
    "torch": open_own_torch,
}
"""Of files that this program has just written."""
