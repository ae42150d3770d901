"""Exported models: images in, logits and score maps out."""

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
"""File format by file name suffix."""

KEY = "wsol"
"""Key of the model info in ONNX metadata."""

EXTRA_FILE = "wsol.json"
"""Name of the model info in torch files."""

Forward = Callable[[Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class ExportedInfo:
    """Information stored with an exported model, as JSON in its file.

    Args:
        classes: class names, in the order of the logits.
        image_size: side of the images in pixels.
        threshold: fraction of a map's maximum above which a pixel belongs to the object.
        is_multi_label: whether probabilities are the sigmoid of the logits; otherwise the softmax.
        localizer_config: localizer options, with the normalization that the maps need.
        mean: mean subtracted from the images inside the model, per channel, for images in [0, 1].
        std: standard deviation that the images are divided by, per channel.
        version: wsol version that wrote the file.
        precision: precision of the computation.
        threshold_from: see ``wsol.localizers.config.Thresholding``.

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
        """The threshold; None if each map has a separate one."""
        return None if self.threshold_from == "auto" else self.threshold

    def to_json(self) -> str:
        """Return all values as one flat JSON object."""
        content = asdict(self)
        return json.dumps(content | content.pop("localizer_config"))

    @classmethod
    def from_json(cls, text: str) -> "ExportedInfo":
        """Parse the output of ``to_json``.

        Raises:
            ValueError: the text is not the output of ``to_json``.
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
            raise ValueError(f"not the info of an exported model: {error}") from error
        if not sound:
            raise ValueError("not the info of an exported model")
        return info


class ExportOutput(NamedTuple):
    """Logits ``(N, classes)``, and raw maps of each image's top-1 class, ``(N, S, S)``, float32."""

    logits: Tensor
    maps: Tensor


class ExportedModel(nn.Module):
    """Exported model as a classifier."""

    def __init__(self, run: Forward, info: ExportedInfo) -> None:
        """Store the function and the info."""
        super().__init__()
        self.run, self.info = run, info

    def forward(self, images: Tensor) -> ExportOutput:
        """Return logits and maps of images, float32 ``(N, 3, S, S)`` in [0, 1]."""
        with torch.no_grad():
            return ExportOutput(*self.run(images))


class ExportedScoreMaps(ScoreMaps):
    """Score maps computed by an exported model, for the top-1 class."""

    def __init__(self, exported: ExportedModel) -> None:
        """Store the exported model; it has no layers."""
        self.model, self.layers, self.interpolation = exported, (), "bicubic"

    def locate(self, images: Images, labels: Labels = None) -> Localized:
        """Return logits, labels and maps; of multiple labels only the top-1 class.

        Raises:
            ConfigError: another class is requested.
        """
        if isinstance(images, ForwardPass):
            raise ConfigError("an exported model needs images, not a forward pass; pass images")
        logits, maps = self.model(images)
        chosen = chosen_labels(labels, logits)
        first = chosen if chosen.ndim == 1 else chosen[:, 0]
        if not torch.equal(first, logits.argmax(1)):
            raise ConfigError(
                "an exported model only has the map of each image's top-1 class; "
                "set --run to the run folder for other classes"
            )
        if chosen.ndim == 1:
            return Localized(logits, chosen, maps)
        return Localized(logits, chosen[:, :1], maps[:, None])


def is_exported(path: Path) -> bool:
    """Return whether a path is an exported file, by its name, and not a run folder.

    >>> [is_exported(Path(path)) for path in ("model.onnx", "runs/birds", "hf:me/a.onnx")]
    [True, False, False]
    """
    return not is_on_hub(path) and (path.suffix in FORMATS or path.is_file())


def load_exported(path: Path) -> ExportedModel:
    """Load an ONNX file written by ``wsol export``.

    Args:
        path: ONNX file.

    Raises:
        RunError: the file does not exist, was not written by ``wsol export``, or has torch's
            format, which could execute arbitrary code.
        ConfigError: onnxruntime is not installed.
    """
    form = FORMATS.get(path.suffix)
    if not path.is_file():
        raise RunError(f"{path}: no such file")
    if form is None:
        raise RunError(f"{path}: neither a run folder nor an exported model (.onnx)")
    if form == "torch":
        raise RunError(
            f"{path}: torch files can execute arbitrary code when loaded; "
            "export the run with --format onnx"
        )
    return open_onnx(path)


def open_onnx(path: Path) -> ExportedModel:
    """Load an ONNX file with any name.

    Raises:
        RunError: the file was not written by ``wsol export``.
        ConfigError: onnxruntime is not installed.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise not_installed("onnxruntime", "wsol[onnx]") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    # onnxruntime also writes the errors it raises to standard error.
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(
            path.read_bytes(), options, providers=["CPUExecutionProvider"]
        )
        info = ExportedInfo.from_json(session.get_modelmeta().custom_metadata_map[KEY])
    # onnxruntime's errors have no common base class.
    except Exception as error:
        raise_if_out_of_memory(error)
        raise _foreign(path, error) from error

    def run(images: Tensor) -> tuple[Tensor, Tensor]:
        given = {"images": images.contiguous().numpy()}
        logits, maps = session.run(["logits", "maps"], given)
        return torch.from_numpy(np.asarray(logits)), torch.from_numpy(np.asarray(maps))

    return ExportedModel(run, info)


def open_own_torch(path: Path) -> ExportedModel:
    """Load a torch file written by this process: such files can execute code.

    Raises:
        RunError: the file was not written by ``wsol export``; its info is read before torch loads
            it.
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
    # A damaged file can raise any error.
    except Exception as error:
        raise_if_out_of_memory(error)
        raise _foreign(path, error) from error
    # Wrapped in a function, as the mode of an exported program cannot be changed.
    return ExportedModel(lambda images: module(images), info)


def _foreign(path: Path, error: Exception) -> RunError:
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return RunError(f"{path}: not a complete file of wsol export: {reason}")


READERS: dict[ExportFormat, Callable[[Path], ExportedModel]] = {
    "onnx": open_onnx,
    "torch": open_own_torch,
}
"""Loaders of files written by this process."""
