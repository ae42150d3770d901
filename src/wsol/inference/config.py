"""The options of export."""

from dataclasses import dataclass
from pathlib import Path

from wsol.options import ImageSize, Name, Options, Scale, Threshold, refusal
from wsol.types import EXPORT_SUFFIXES, ExportFormat, Normalization


@dataclass(frozen=True)
class ExportConfig(Options):
    """Options of export.

    Args:
        run: the run folder, or hf:owner/name on the Hub.
        out: the file to write, .onnx or .pt2.
        format: onnx, which onnxruntime and many others run; or torch, which torch.export.load
            opens.
        localizer: makes the score maps; default: the run's. One that is given leaves nothing of
            the run's own reading.
        layers: modules of the network whose features the localizer reads; default: the run's; with
            --localizer, found and logged.
        affinity: a module of the network whose features the score map then follows; default: the
            run's; with --localizer, none.
        flip: average score maps with those of the flipped image; default: the run's; with
            --localizer, false.
        scales: average score maps over images of these sizes, as shares of size; default: the
            run's; with --localizer, the image as it is.
        normalization: how score maps are to be scaled to [0, 1], as the graph gives them raw;
            default: the run's; with --localizer, otsu with threshold auto (minmax for prototypes)
            and minmax with a number.
        threshold: fraction of the score map's maximum above which a pixel belongs to the object, or
            auto: each map's own, and 0.5 for prototypes; default: the run's where it was chosen on
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
        """Refuse what cannot work before anything is loaded."""
        super().__post_init__()
        ending = EXPORT_SUFFIXES[self.format]
        if self.out.suffix != ending:
            raise refusal(
                "out", str(self.out), f"use a name that ends in {ending} for format {self.format}"
            )
        if self.run.is_file():
            raise refusal("run", str(self.run), "use the run folder instead of a file")
