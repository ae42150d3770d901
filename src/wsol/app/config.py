"""Options of the app."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from wsol.inference.config import PredictorOptions
from wsol.options import (
    Name,
    PositiveInt,
    Range,
    no_effect,
    refusal,
)
from wsol.types import BUNDLED_BACKBONE


@dataclass(frozen=True)
class AppConfig(PredictorOptions):
    """Options of the app.

    Args:
        run: run folder, or hf:owner/name on the Hub; default: a pretrained network.
        host: address to listen on; with any other than 127.0.0.1, other machines can connect.
        port: port to listen on; 0 selects a free port.
        names: further host names of this machine; requests to names other than these, localhost
            and the machine's addresses are refused.
        open: open the page in the browser.
        label_studio: serve the machine-learning backend of Label Studio instead of the page.
        label_studio_url: address of Label Studio, to download images that were uploaded there; the
            token is read from the environment variable LABEL_STUDIO_API_KEY.
        files: folders whose images Label Studio may refer to as local files.
        max_file: size limit of a file in MiB.
        max_request: size limit of a request in MiB.
        max_images: number of images that are stored at most.
        max_kept: disk space of the stored images in MiB at most.
    """

    run: Path | None = None
    host: Name = "127.0.0.1"
    port: Annotated[int, Range(at_least=0, at_most=65_535)] = 8000
    names: tuple[Name, ...] = ()
    open: bool = False
    label_studio: bool = False
    label_studio_url: Name | None = None
    files: tuple[Path, ...] = ()
    max_file: PositiveInt = 32
    max_request: PositiveInt = 256
    max_images: PositiveInt = 1_000
    max_kept: PositiveInt = 4_096

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
