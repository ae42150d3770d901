"""The options of the app."""

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
        run: a run folder, or hf:owner/name on the Hub; default: a pretrained network.
        backbone: the pretrained network where no run is given.
        host: address to listen at; any other than 127.0.0.1 lets other machines in.
        port: to listen at; 0 takes a free one.
        names: names of this machine by which a browser or Label Studio calls it, besides
            localhost and its addresses; requests to any other name are refused.
        open: open the page in the browser.
        label_studio: serve Label Studio as its machine-learning backend, instead of the page.
        label_studio_url: where Label Studio is, to fetch images that were uploaded there; its
            token is read from the environment variable LABEL_STUDIO_API_KEY.
        files: folders whose images Label Studio may name as local files.
        localizer: makes the score maps; default: the run's, or prototypes.
            One that is given leaves nothing of that reading.
        layers: modules of the network whose features the localizer reads; default: the run's; with
            --localizer, or without a run, found and logged.
        affinity: a module of the network whose features the score map then follows; default: the
            run's, or auto without a run; with --localizer, none.
        flip: average score maps with those of the flipped image; default: the run's; with
            --localizer, or without a run, false.
        scales: average score maps over images of these sizes, as shares of size; default: the
            run's; with --localizer, or without a run, the image as it is.
        normalization: how score maps are scaled to [0, 1]: by minimum and maximum (minmax), by the
            maximum alone (max), with a percentile at the top (pas) or at the bottom (ivr), or so
            that Otsu's threshold of each map becomes a half (otsu); default: the run's; with
            --localizer, or without a run, otsu with threshold auto (minmax for prototypes) and
            minmax with a number.
        threshold: fraction of the score map's maximum above which a pixel belongs to the object, or
            auto: each map's own, and 0.5 for prototypes; default: the run's where it was chosen on
            boxes, otherwise auto.
        instances: one box for each class, or several; default: several for a run that was trained
            on images of several labels.
        image_size: side of the network's input in pixels; default: the run's, or 448.
        max_file: largest file that is taken, in MiB.
        max_request: largest request that is taken, in MiB.
        max_images: images that are kept at once.
        max_kept: room that they take on the disk at most, in MiB.
        max_pixels: larger images are refused before they are decoded.
        precision: auto is that of the run, or without one bfloat16 where the hardware supports it.
        device: auto (a GPU where there is one), cpu, cuda, cuda:1, mps or xpu.
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
        """Refuse what cannot work before anything is loaded."""
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
                raise refusal("files", str(folder), "use folders of images that exist")
        for option in ("label_studio_url", "files"):
            if getattr(self, option) and not self.label_studio:
                raise no_effect(option, str(getattr(self, option)), "without --label_studio")
