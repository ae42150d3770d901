"""Export of runs to ONNX or torch: images in, logits and score maps out."""

import logging
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torch.nn.functional import interpolate

import wsol
from wsol._utils.files import make_folder, write_atomically
from wsol.data.loader import normalized
from wsol.errors import ConfigError, not_installed, raise_if_out_of_memory
from wsol.inference.config import ExportConfig, LocalizerOptions
from wsol.inference.device import announce
from wsol.inference.exported import EXTRA_FILE, KEY, READERS, ExportedInfo
from wsol.inference.localizer import Localizer
from wsol.localizers.distilled import DistilledLocalizer
from wsol.localizers.ensemble import Ensemble
from wsol.models.utils import evaluating
from wsol.types import ExportFormat

log = logging.getLogger("wsol")

TOLERANCE = 1e-4
"""Maximum difference between exported model and run, relative to the largest value."""


class Differences(NamedTuple):
    """Differences between an exported model and its run, relative to the run's largest value."""

    logits: float
    maps: float


class Whole(nn.Module):
    """Localizer and image normalization as one module."""

    def __init__(self, locate: Localizer) -> None:
        """Register all modules with weights, so that they are exported by name."""
        super().__init__()
        self.model, self.localizer = locate.model, locate.localizer
        own = locate.localizer
        parts = own.localizers if isinstance(own, Ensemble) else [own]
        self.heads = nn.ModuleList(
            each.ready_head() for each in parts if isinstance(each, DistilledLocalizer)
        )
        shape = (1, -1, 1, 1)
        self.register_buffer("pixel_mean", torch.tensor(locate.mean).view(shape))
        self.register_buffer("pixel_std", torch.tensor(locate.std).view(shape))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits and maps of images, float32 ``(N, 3, S, S)`` in [0, 1]."""
        mean, std = self.get_buffer("pixel_mean"), self.get_buffer("pixel_std")
        found = self.localizer.locate((images - mean) / std)
        return found.logits, found.maps


def export(config: ExportConfig) -> Differences:
    """Export a run.

    Args:
        config: export options.

    Returns:
        Differences between the exported model and the run.

    Raises:
        RunError: not a finished run.
        ConfigError: the run cannot be exported, or the file cannot be written.
    """
    make_folder(config.out.parent)
    locate = Localizer(
        config.run,
        **vars(LocalizerOptions.of(config, precision="fp32", device="cpu")),
    )
    return export_localizer(locate, config.out, config.format)


def export_localizer(locate: Localizer, path: Path, form: ExportFormat = "onnx") -> Differences:
    """Export a localizer, and compare both on a few images.

    The exported model takes float32 RGB images ``(N, 3, S, S)`` in [0, 1], and returns logits
    ``(N, classes)`` and the raw score maps ``(N, S, S)`` of each image's top-1 class.

    Args:
        locate: localizer on the CPU, in float32.
        path: output file; its folder exists.
        form: file format.

    Returns:
        Differences between the exported model and the localizer.

    Raises:
        ConfigError: the localizer cannot be exported, or the exported model differs; no file is
            written.
    """
    name = locate.localizer_config.localizer
    reason = locate.localizer.why_not_exportable()
    if reason:
        raise ConfigError(
            f"{name} cannot be exported: it {reason}, and an exported model has one forward pass; "
            "use --localizer cam or feature_norm"
        )
    if not locate.is_fitted:
        raise ConfigError(
            f"{name} cannot be exported: it is not fitted; train the run with it, "
            "or use --localizer cam or feature_norm"
        )
    if locate.is_multi_label:
        log.info("the exported model only has the score map of each image's top-1 class")
    announce(locate.compute, device="cpu")
    info = ExportedInfo(
        classes=locate.classes,
        image_size=locate.image_size,
        threshold=locate.threshold,
        threshold_from=locate.threshold_from,
        is_multi_label=locate.is_multi_label,
        localizer_config=locate.localizer_config,
        mean=tuple(locate.mean),
        std=tuple(locate.std),
        version=wsol.__version__,
    )
    found: list[Differences] = []

    def write(part: Path) -> None:
        _write(locate, part, form, info)
        found.append(_compare(locate, READERS[form](part)))
        if not max(found[0]) <= TOLERANCE:
            raise ConfigError(
                f"{path}: not written, as the exported model differs from the run: logits by "
                f"{found[0].logits:.1e}, maps by {found[0].maps:.1e} of the largest value"
            )

    write_atomically(path, write)
    return found[0]


def _write(locate: Localizer, path: Path, form: ExportFormat, info: ExportedInfo) -> None:
    packages = ("onnx", "onnxruntime", "onnxscript") if form == "onnx" else ()
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        raise not_installed(", ".join(missing), "wsol[onnx]")
    try:
        with torch.no_grad(), warnings.catch_warnings():
            # Deprecation warnings of torch and onnx.
            warnings.simplefilter("ignore")
            program = _program(locate)
            if form == "torch":
                with path.open("wb") as file:
                    torch.export.save(program, file, extra_files={EXTRA_FILE: info.to_json()})
                return
            converted = cast(
                torch.onnx.ONNXProgram,
                torch.onnx.export(
                    program,
                    dynamo=True,
                    verbose=False,
                    input_names=["images"],
                    output_names=["logits", "maps"],
                ),
            )
            converted.model.metadata_props[KEY] = info.to_json()
            converted.save(path, external_data=False)
    # Exporting arbitrary networks raises errors of any type.
    except Exception as error:
        raise_if_out_of_memory(error)
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        reason = lines[0] if lines else type(error).__name__
        raise ConfigError(
            f"{locate.description}: cannot be exported as {form}: {reason}"
        ) from error


def _program(locate: Localizer) -> ExportedProgram:
    """Return the exported program of a localizer, for any batch size."""
    # A batch size of one would be treated as a constant.
    chance = torch.Generator()
    images = torch.rand(2, 3, locate.image_size, locate.image_size, generator=chance)
    whole = Whole(locate)
    with evaluating(whole):
        return torch.export.export(whole, (images,), dynamic_shapes={"images": {0: Dim("batch")}})


def _compare(locate: Localizer, exported: nn.Module) -> Differences:
    """Compare an exported model with its localizer on batches of one and three images."""
    chance = torch.Generator().manual_seed(0)
    size = (locate.image_size, locate.image_size)
    noise = torch.randint(0, 256, (2, 3, *size), generator=chance, dtype=torch.uint8)
    few = torch.rand(2, 3, 7, 7, generator=chance)
    smooth = (interpolate(few, size, mode="bilinear") * 255).to(torch.uint8)
    found = []
    every = torch.cat([noise, smooth])
    for images in (every[:1], every[1:]):
        own = locate.localizer.locate(normalized(images, locate.mean, locate.std))
        logits, maps = exported(images.float() / 255)
        found.append((_share(logits, own.logits), _share(maps, own.maps)))
    return Differences(*(max(each) for each in zip(*found, strict=True)))


def _share(given: Tensor, own: Tensor) -> float:
    """Return the largest difference relative to the largest value."""
    difference = float((given - own).detach().abs().max())
    return difference / float(own.abs().max()) if difference else 0.0
