"""Options of the app."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from wsol.options import (
    Device,
    ImageSize,
    MaxPixels,
    Name,
    Options,
    PositiveInt,
    Range,
    Scale,
    Threshold,
    no_effect,
    refusal,
)
from wsol.types import BUNDLED_BACKBONE, Instances, Normalization, Precision


@dataclass(frozen=True)
class AppConfig(Options):
    """Options of the app.

    Args:
        run: run folder, or hf:owner/name on the Hub; default: a pretrained network.
        backbone: pretrained network that is used without a run, by its timm name.
        host: address to listen on; with any other than 127.0.0.1, other machines can connect.
        port: port to listen on; 0 selects a free port.
        names: further host names of this machine; requests to names other than these, localhost
            and the machine's addresses are refused.
        open: open the page in the browser.
        label_studio: serve the machine-learning backend of Label Studio instead of the page.
        label_studio_url: address of Label Studio, to download images that were uploaded there; the
            token is read from the environment variable LABEL_STUDIO_API_KEY.
        files: folders whose images Label Studio may refer to as local files.
        localizer: localizer that computes the score maps; default: the run's, or prototypes
            without a run. Setting it discards all localizer options that are stored in the run.
        layers: modules of the network whose features the localizer uses; default: the run's; with
            --localizer, or without a run, selected automatically and logged.
        affinity: module of the network whose features refine the score map; default: the run's, or
            auto without a run; with --localizer, none.
        flip: average the score maps of the image and of its mirror image; default: the run's; with
            --localizer, or without a run, false.
        scales: image sizes to average the score maps over, as fractions of image_size; default: the
            run's; with --localizer, or without a run, the original size only.
        normalization: scaling of score maps to [0, 1]: by minimum and maximum (minmax), by the
            maximum only (max), with a percentile as the upper (pas) or the lower bound (ivr), or
            such that Otsu's threshold of each map becomes 0.5 (otsu); default: the run's; with
            --localizer, or without a run, otsu if threshold is auto (minmax for prototypes), and
            minmax if it is a number.
        threshold: fraction of the score map's maximum above which a pixel belongs to the object, or
            auto (Otsu's threshold of each map; 0.5 for prototypes); default: the run's if it was
            chosen on boxes, otherwise auto.
        instances: boxes of each class: a single one, or multiple, one per object; default: multiple
            for a run that was trained on multi-label images, otherwise single.
        image_size: side of the network's input in pixels; default: the run's, or 448.
        max_file: size limit of a file in MiB.
        max_request: size limit of a request in MiB.
        max_images: number of images that are stored at most.
        max_kept: disk space of the stored images in MiB at most.
        max_pixels: pixel limit of an image; larger images are refused before they are decoded.
        precision: precision of the computation; auto: that of the run, or without a run bfloat16 if
            the hardware supports it.
        device: auto (a GPU if available), cpu, cuda, cuda:1, mps or xpu.
    """

    run: Path | None = None
    backbone: Name = BUNDLED_BACKBONE
    host: Name = "127.0.0.1"
    port: Annotated[int, Range(at_least=0, at_most=65_535)] = 8000
    names: tuple[Name, ...] = ()
    open: bool = False
    label_studio: bool = False
    label_studio_url: Name | None = None
    files: tuple[Path, ...] = ()
    localizer: Name | None = None
    layers: tuple[Name, ...] = ()
    affinity: str = ""
    flip: bool = False
    scales: tuple[Scale, ...] = ()
    normalization: Normalization | None = None
    threshold: Threshold | None = None
    instances: Instances | None = None
    image_size: ImageSize | None = None
    max_file: PositiveInt = 32
    max_request: PositiveInt = 256
    max_images: PositiveInt = 1_000
    max_kept: PositiveInt = 4_096
    max_pixels: MaxPixels = 50_000_000
    precision: Precision = "auto"
    device: Device = "auto"

    def __post_init__(self) -> None:
        """Validate the options before anything is loaded."""
        super().__post_init__()
        if self.run is not None and self.backbone != BUNDLED_BACKBONE:
            raise no_effect("backbone", self.backbone, "with a run")
        if self.run is not None and self.run.is_file():
            raise refusal("run", str(self.run), "use the run folder instead of a file")
        url = self.label_studio_url
        if url is not None and not url.startswith(("http://", "https://")):
            raise refusal(
                "label_studio_url", url, "use an address that begins with http:// or https://"
            )
        for folder in self.files:
            if not folder.is_dir():
                raise refusal("files", str(folder), "use existing folders of images")
        for option in ("label_studio_url", "files"):
            if getattr(self, option) and not self.label_studio:
                raise no_effect(option, str(getattr(self, option)), "without --label_studio")
