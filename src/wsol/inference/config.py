"""Export options."""

from dataclasses import dataclass
from pathlib import Path

from wsol.options import ImageSize, Name, Options, Scale, Threshold, refusal
from wsol.types import EXPORT_SUFFIXES, ExportFormat, Normalization


@dataclass(frozen=True)
class ExportConfig(Options):
    """Export options.

    Args:
        run: run folder, or hf:owner/name on the Hub.
        out: file to write, .onnx or .pt2.
        format: file format: onnx, for onnxruntime and other runtimes; or torch, for
            torch.export.load.
        localizer: localizer of the score maps; default: the run's. If given, the run's other
            localizer options are ignored.
        layers: network modules whose features the localizer reads; default: the run's; with
            --localizer, chosen automatically and logged.
        affinity: network module whose features refine the score maps; default: the run's; with
            --localizer, none.
        flip: average score maps with those of the flipped image; default: the run's; with
            --localizer, false.
        scales: image sizes to average score maps over, relative to image_size; default: the run's;
            with --localizer, one size.
        normalization: scaling to [0, 1] that the exported model's raw score maps need; default: the
            run's; with --localizer, otsu with threshold auto (minmax for prototypes) and minmax
            with a number.
        threshold: fraction of a map's maximum above which a pixel belongs to the object, or auto: a
            separate threshold per map (0.5 for prototypes); default: the run's, if it was chosen on
            boxes, otherwise auto.
        image_size: side of the network's input in pixels; default: the run's.
    """

    run: Path
    out: Path
    format: ExportFormat = "onnx"
    localizer: Name | None = None
    layers: tuple[Name, ...] = ()
    affinity: str = ""
    flip: bool = False
    scales: tuple[Scale, ...] = ()
    normalization: Normalization | None = None
    threshold: Threshold | None = None
    image_size: ImageSize | None = None

    def __post_init__(self) -> None:
        """Reject invalid options before anything is loaded."""
        super().__post_init__()
        ending = EXPORT_SUFFIXES[self.format]
        if self.out.suffix != ending:
            raise refusal(
                "out", str(self.out), f"use a name that ends in {ending} for format {self.format}"
            )
        if self.run.is_file():
            raise refusal("run", str(self.run), "use the run folder instead of a file")
