"""The options of sending a run to the Hub, and of the import of published weights."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from wsol.options import ImageSize, Name, Options, refusal
from wsol.runs.hub import HubName, hub_name


@dataclass(frozen=True)
class PushConfig(Options):
    """Options of sending a run to the Hugging Face Hub.

    Args:
        run: the run folder.
        name: of the repository, as owner/name; it is made if there is none.
        private: only who may see the repository can load the run; a public one is refused.
        revision: branch to send it to, made if there is none; default: the main one.
        license: of the run, for the model card, as the Hub calls it (apache-2.0, cc-by-4.0).
        dataset: of the training, for the model card, as owner/name on the Hub.
        card: write the model card again where the repository has one.
    """

    run: Path
    name: Name
    private: bool = False
    revision: Name | None = None
    license: Name | None = None
    dataset: Name | None = None
    card: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot work before anything is loaded."""
        super().__post_init__()
        if self.target.revision is not None:
            raise refusal("name", self.name, "pass the branch as --revision")

    @property
    def target(self) -> HubName:
        """The repository."""
        return hub_name(f"hf:{self.name.removeprefix('hf:')}")


@dataclass(frozen=True)
class ImportConfig(Options):
    """Options of the import of published weights.

    Args:
        file: an .npz of tensorpack, or a checkpoint or state dict of wsolevaluation.
        out: the run folder to write.
        family: the published code: tensorpack or wsolevaluation.
        network: one of the papers' networks; default: what the weights' names tell.
        classes: text file with the names of the classes, one a line; default: their numbers.
        large_feature_map: the weights were trained with it; the file does not tell.
        size: side of the network's input in pixels.
    """

    file: Path
    out: Path
    family: Literal["tensorpack", "wsolevaluation"]
    network: Name | None = None
    classes: Path | None = None
    large_feature_map: bool = False
    size: ImageSize = 224
