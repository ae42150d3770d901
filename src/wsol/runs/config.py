"""Options for pushing a run to the Hub and importing published weights; run option files."""

from dataclasses import MISSING, dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import yaml

from wsol._utils.files import write_atomically
from wsol.data.annotations.types import OnBad
from wsol.data.config import DataOptions
from wsol.errors import ConfigError
from wsol.options import ImageSize, Name, Options, is_required, refusal
from wsol.runs.hub import HubName, hub_name

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


@dataclass(frozen=True, kw_only=True)
class RunDataOptions(DataOptions):
    """Options of a data set that a run is used with; None selects the run's value.

    Args:
        run: run folder, or hf:owner/name on the Hub.
        data: data set folder, to be set if it was moved since the training; default: the run's
            training data, if recorded.
        boxes: ground-truth boxes: CSV, COCO JSON, or a folder of Pascal VOC or YOLO files; default:
            the run's, if data is the run's, otherwise boxes.csv or boxes.json in the data folder.
        on_bad_annotation: handling of unusable box annotations: fail stops at the first one, skip
            drops each and logs its position and the reason.
        splits: folder of published splits; default: the run's, if data is the run's.
        labels: image labels as CSV or COCO JSON; default: the run's, if data is the run's,
            otherwise those of the data folder.
        split_folders: split folders, as train=FOLDER,test=FOLDER; none treats every folder as a
            class; default: the run's, if data is the run's, otherwise the folders named after
            splits.
    """

    run: Path | None = None
    data: Path | None = None
    on_bad_annotation: OnBad = "fail"


@dataclass(frozen=True)
class PushConfig(Options):
    """Options for pushing a run to the Hugging Face Hub.

    Args:
        run: run folder.
        name: repository, as owner/name; created if missing.
        private: restrict the run to users with access to the repository; a public repository is
            rejected. By default, the setting of the account applies.
        revision: branch to push to, created if missing; default: the main branch.
        license: license identifier of the Hub for the model card (apache-2.0, cc-by-4.0).
        dataset: training data set for the model card, as owner/name on the Hub.
        card: overwrite the model card of the repository, if it has one.
    """

    run: Path
    name: Name
    private: bool = False
    revision: Name | None = None
    license: Name | None = None
    dataset: Name | None = None
    card: bool = False

    def __post_init__(self) -> None:
        """Reject invalid options before anything is loaded."""
        super().__post_init__()
        if self.target.revision is not None:
            raise refusal("name", self.name, "pass the branch as --revision")

    @property
    def target(self) -> HubName:
        """The repository."""
        return hub_name(f"hf:{self.name.removeprefix('hf:')}")


@dataclass(frozen=True)
class ImportConfig(Options):
    """Options for importing published weights.

    Args:
        file: .npz file of tensorpack, or checkpoint or state dict of wsolevaluation.
        out: run folder to write.
        family: published code: tensorpack or wsolevaluation.
        network: network of the papers; default: detected from the weight names.
        classes: text file with one class name per line; default: class numbers.
        large_feature_map: set if the weights were trained with large feature maps; the file does
            not contain this.
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
    """Return options as YAML types, required ones first: dicts, lists, numbers and strings.

    >>> from wsol.methods.adl import Config
    >>> plain(Config(layers=("layer3",)))
    {'name': 'adl', 'layers': ['layer3'], 'drop_rate': 0.75, 'threshold': 0.9}
    """
    if is_dataclass(value):
        known = sorted(fields(value), key=is_required, reverse=True)
        return {field.name: plain(getattr(value, field.name)) for field in known}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def save_config(path: Path, config: object) -> None:
    """Write options as YAML; ``--config`` reads the file back."""
    text = yaml.safe_dump(plain(config), sort_keys=False, allow_unicode=True)
    write_atomically(path, lambda part: part.write_text(text, encoding="utf-8"))


def resolved(config: OptionsT) -> OptionsT:
    """Return options with absolute paths, independent of the working directory.

    >>> from wsol.training.config import DemoConfig
    >>> resolved(DemoConfig(out=Path("."))).out == Path.cwd()
    True
    """
    values = {each.name: getattr(config, each.name) for each in fields(config)}
    places = {name: _place(value) for name, value in values.items() if isinstance(value, Path)}
    return replace(config, **places)


def _place(path: Path) -> Path:
    # The name of a run on the Hub is not a path.
    return path.resolve() if path.exists() else path


def check_same(path: Path, config: "DataclassInstance", free: set[str]) -> None:
    """Check that options equal the saved ones, except those that may change.

    An option missing in the file is taken as its default, as older versions did not have it.

    Raises:
        ConfigError: an option differs; the message has its name and both values.
    """
    try:
        saved = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    if not isinstance(saved, dict):
        raise ConfigError(f"{path}: contains no options; start a new run with another --out")
    saved = _completed(saved, config)
    for key, value in plain(resolved(config)).items():
        if key not in free and saved.get(key) != value:
            raise ConfigError(
                f"{path}: {key} was {saved.get(key)!r} and is {value!r} now; resume with "
                "the same options, or start a new run with another --out"
            )


def _completed(saved: Any, config: Any) -> Any:
    """Return saved options with resolved paths, and defaults for missing options."""
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
