"""Upload of a run to the Hub."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

import wsol
from wsol.errors import ConfigError, RunError, WsolError
from wsol.runs.config import PushConfig
from wsol.runs.hub import LOG_IN, first_line, hub_client, local_run, root
from wsol.runs.model_card import model_card
from wsol.runs.run import RunInfo, load_run

CARD = "README.md"

AS_THEY_ARE = ("model.safetensors", "localizer.safetensors", "metrics.json")
"""Files of a run that are uploaded; checkpoints and training options are not."""


class Pushed(NamedTuple):
    """Location of a run on the Hub.

    Attributes:
        name: name that every command accepts as a run.
        url: URL of its page.
        commit: commit hash, usable as a revision.
    """

    name: str
    url: str
    commit: str


def push(config: PushConfig) -> Pushed:
    """Upload a run to the Hub, with all files in one commit.

    Data paths and all other paths of this machine are removed.

    Args:
        config: push options.

    Raises:
        RunError: not a finished run, or the Hub is not reachable or rejects it.
        ConfigError: the repository is public, but a private one is requested.
    """
    folder = local_run(config.run)
    _, info = load_run(folder)
    hub, repository = hub_client(), config.target.repository
    api = hub.HfApi(library_name="wsol", library_version=wsol.__version__)
    with _said(config):
        # None selects the account's default.
        api.create_repo(repository, private=config.private or None, exist_ok=True)
        found = api.model_info(repository)
        if config.private and not found.private:
            raise ConfigError(
                f"{config.name}: the repository is public; make it private on the Hub first, or "
                "use another name"
            )
        if config.revision is not None:
            api.create_branch(repository, branch=config.revision, exist_ok=True)
        there = set(api.list_repo_files(repository, revision=config.revision))
        files = _files(config, folder, info, has_card=CARD in there)
        operations = [hub.CommitOperationAdd(name, content) for name, content in files.items()]
        # Files left by another run would be mistaken for this run's.
        operations += [
            hub.CommitOperationDelete(name)
            for name in AS_THEY_ARE
            if name in there and name not in files
        ]
        commit = api.create_commit(
            repository, operations, commit_message="Add a run", revision=config.revision
        )
    at = "" if config.revision is None else f"@{config.revision}"
    return Pushed(f"hf:{repository}{at}", f"{api.endpoint}/{repository}", commit.oid)


def _files(
    config: PushConfig, folder: Path, info: RunInfo, *, has_card: bool
) -> dict[str, bytes | Path]:
    """Return the uploaded files by name in the repository: contents, or local files."""
    # Local paths are private, and useless on other machines.
    told = replace(info, data="", boxes=None, splits=None, labels=None, split_folders=())
    files: dict[str, bytes | Path] = {
        "model.json": (json.dumps(asdict(told), indent=1) + "\n").encode()
    }
    files |= {name: folder / name for name in AS_THEY_ARE if (folder / name).is_file()}
    if config.card or not has_card:
        card = model_card(
            config.target.repository,
            info,
            _figures(folder / "metrics.json"),
            license_name=config.license,
            dataset=config.dataset,
        )
        files[CARD] = card.encode()
    return files


def _figures(path: Path) -> dict[str, Any]:
    """Return the metrics of an evaluation, empty if the run was not evaluated."""
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise RunError(f"{path}: contains no metrics; evaluate the run again")
    return content


@contextmanager
def _said(config: PushConfig) -> Iterator[None]:
    """Convert errors of the Hub to one-line errors."""
    try:
        yield
    except WsolError:
        raise
    except hub_client().errors.HFValidationError as error:
        raise ConfigError(f"{config.name}: not a name on the Hub: {first_line(error)}") from error
    # Connection errors belong to the client's HTTP library, and have no common base class.
    except Exception as error:
        status = getattr(getattr(root(error), "response", None), "status_code", None)
        hint = f": {LOG_IN}" if status in (401, 403, 404) else ""
        raise RunError(
            f"{config.name}: cannot be sent ({first_line(root(error))}){hint}"
        ) from error
