"""The options of sending a run to the Hub."""

from dataclasses import dataclass
from pathlib import Path

from wsol.engine.hub import HubName, hub_name
from wsol.errors import ConfigError


@dataclass(frozen=True)
class PushConfig:
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
    name: str
    private: bool = False
    revision: str | None = None
    license: str | None = None
    dataset: str | None = None
    card: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot work before anything is loaded."""
        if self.target.revision is not None:
            raise ConfigError(f"name is {self.name}: give the branch as --revision")

    @property
    def target(self) -> HubName:
        """The repository."""
        return hub_name(f"hf:{self.name.removeprefix('hf:')}")
