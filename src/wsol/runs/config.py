"""The options of sending a run to the Hub, and of the import of published weights."""

from dataclasses import MISSING, dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import yaml

from wsol._utils.files import write_atomically
from wsol.errors import ConfigError
from wsol.options import ImageSize, Name, Options, refusal
from wsol.runs.hub import HubName, hub_name

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


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
        image_size: side of the network's input in pixels.
    """

    file: Path
    out: Path
    family: Literal["tensorpack", "wsolevaluation"]
    network: Name | None = None
    classes: Path | None = None
    large_feature_map: bool = False
    image_size: ImageSize = 224


OptionsT = TypeVar("OptionsT", bound="DataclassInstance")


def plain(value: Any) -> Any:
    """Return options as what YAML knows: dicts, lists, numbers and strings.

    >>> from wsol.methods.adl import Config
    >>> plain(Config(layers=("layer3",)))
    {'name': 'adl', 'layers': ['layer3'], 'drop_rate': 0.75, 'threshold': 0.9}
    """
    if is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def save_config(path: Path, config: object) -> None:
    """Write options as YAML; ``--config`` reads the file back."""
    text = yaml.safe_dump(plain(config), sort_keys=False, allow_unicode=True)
    write_atomically(path, lambda part: part.write_text(text, encoding="utf-8"))


def resolved(config: OptionsT) -> OptionsT:
    """Return options whose paths mean the same from every working directory.

    >>> from wsol.training.config import DemoConfig
    >>> resolved(DemoConfig(out=Path("."))).out == Path.cwd()
    True
    """
    values = {each.name: getattr(config, each.name) for each in fields(config)}
    places = {name: _place(value) for name, value in values.items() if isinstance(value, Path)}
    return replace(config, **places)


def _place(path: Path) -> Path:
    # The name of a run on the Hub is no path.
    return path.resolve() if path.exists() else path


def check_same(path: Path, config: "DataclassInstance", free: set[str]) -> None:
    """Check that options equal the saved ones, but for those that are free to change.

    An option that the file does not have was not there yet, which means its default.

    Args:
        path: of the file.
        config: the options.
        free: names of those that may differ.

    Raises:
        ConfigError: an option differs; names it with both values.
    """
    try:
        saved = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    if not isinstance(saved, dict):
        raise ConfigError(f"{path}: holds no options: start another run with another --out")
    saved = _completed(saved, config)
    for key, value in plain(resolved(config)).items():
        if key not in free and saved.get(key) != value:
            raise ConfigError(
                f"{path}: {key} was {saved.get(key)!r} and is {value!r} now: go on with the same "
                "options, or start another run with another --out"
            )


def _completed(saved: Any, config: Any) -> Any:
    """Return saved options with paths resolved, and the defaults of what a file does not have."""
    if isinstance(config, Path) and isinstance(saved, str):
        return str(_place(Path(saved)))
    if not (is_dataclass(config) and isinstance(saved, dict)):
        return saved
    completed = dict(saved)
    for each in fields(config):
        if each.name in saved:
            completed[each.name] = _completed(saved[each.name], getattr(config, each.name))
        elif each.default_factory is not MISSING:
            completed[each.name] = plain(each.default_factory())
        elif each.default is not MISSING:
            completed[each.name] = plain(each.default)
    return completed
