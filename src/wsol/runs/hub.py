"""Runs on the Hugging Face Hub: ``hf:owner/name`` is accepted wherever a run folder is."""

import logging
import re
from functools import cache, partial
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from wsol.errors import ConfigError, RunError, not_installed

log = logging.getLogger("wsol")

PREFIX = "hf:"

MOST_BYTES = {
    # The network is built for this many classes before the weights are read.
    "model.json": 4 * 2**20,
    "model.safetensors": 16 * 2**30,
    "localizer.safetensors": 16 * 2**30,
}
"""Files of a run that are downloaded, with their maximum size; other files of a repository are
ignored."""

_NAME = re.compile(r"hf:([\w.-]+/[\w.-]+)(?:@(\S+))?", re.ASCII)
_COMMIT = re.compile("[0-9a-f]{40}")

LOG_IN = "log in with hf auth login, or set HF_TOKEN"


class HubName(NamedTuple):
    """Repository of a run on the Hub, and branch, tag or commit; None is the main branch."""

    repository: str
    revision: str | None


def is_on_hub(path: Path | str) -> bool:
    """Return whether a path names a run on the Hub.

    >>> is_on_hub(Path("hf:owner/birds")), is_on_hub("runs/birds")
    (True, False)
    """
    return str(path).startswith(PREFIX)


def hub_name(path: Path | str) -> HubName:
    """Parse ``hf:owner/name`` or ``hf:owner/name@revision``.

    Raises:
        ConfigError: the name is invalid.

    >>> hub_name("hf:owner/birds@v1")
    HubName(repository='owner/birds', revision='v1')
    """
    found = _NAME.fullmatch(str(path))
    if found is None:
        raise ConfigError(f"{path}: not a name on the Hub; use hf:OWNER/NAME or hf:OWNER/NAME@REV")
    return HubName(*found.groups())


def local_run(run: Path) -> Path:
    """Return the folder of a run, downloaded from the Hub or taken from the cache.

    A name refers to the same commit for the lifetime of the process.

    Args:
        run: folder, or name on the Hub.

    Raises:
        RunError: the run does not exist on the Hub, or the Hub is not reachable and there is no
            local copy.
        ConfigError: not a name on the Hub, or huggingface_hub is not installed.

    >>> local_run(Path("runs/birds")).as_posix()
    'runs/birds'
    """
    return _download(str(run)) if is_on_hub(run) else run


def run_files(run: Path) -> list[Path]:
    """Return the files of a run that are needed to use it, or that of an exported model."""
    run = local_run(run)
    return [run] if run.is_file() else [run / file for file in MOST_BYTES if (run / file).is_file()]


def hub_client() -> ModuleType:
    """Return the huggingface_hub package, or raise a ConfigError if it is not installed."""
    try:
        import huggingface_hub
    except ImportError as error:
        raise not_installed("huggingface_hub", "huggingface_hub") from error
    return huggingface_hub


@cache
def _download(name: str) -> Path:
    repository, revision = hub_name(name)
    copy = _copy(name) if revision is not None and _COMMIT.fullmatch(revision) else None
    if copy is not None:
        return copy
    download = partial(hub_client().snapshot_download, repository, allow_patterns=list(MOST_BYTES))
    try:
        files = download(revision=revision, dry_run=True)
        _check(name, {file.filename: file.file_size for file in files})
        log.info("%s is commit %s", name, files[0].commit_hash)
        return Path(download(revision=files[0].commit_hash))
    except RunError:
        raise
    # Connection errors belong to the client's HTTP library, and have no common base class.
    except Exception as error:
        cause = root(error)
        _refuse(name, cause)
        copy = _copy(name)
        if copy is None:
            raise RunError(
                f"{name}: {_why(cause)}, and there is no local copy; download it once with a "
                "network and without HF_HUB_OFFLINE, or use a run folder"
            ) from error
        log.warning("%s: %s; using the local copy", name, _why(cause))
        return copy


def _check(name: str, sizes: dict[str, int | None]) -> None:
    """Raise an error for a repository without a run, or one that is too large, before download."""
    for needed in ("model.json", "model.safetensors"):
        if needed not in sizes:
            raise RunError(f"{name}: not a run of wsol: the repository has no {needed}")
    for file, size in sizes.items():
        if size is None or size > MOST_BYTES[file]:
            shown = "of unknown size" if size is None else f"{size:,} bytes"
            raise RunError(f"{name}: {file} is {shown}; the maximum is {MOST_BYTES[file]:,}")


def _copy(name: str) -> Path | None:
    """Return the folder of a complete earlier download, or None."""
    repository, revision = hub_name(name)
    hub = hub_client()
    try:
        folder = hub.snapshot_download(
            repository,
            revision=revision,
            allow_patterns=list(MOST_BYTES),
            local_files_only=True,
        )
    except hub.errors.LocalEntryNotFoundError:
        return None
    return Path(folder) if Path(folder, "model.safetensors").is_file() else None


def _refuse(name: str, error: BaseException) -> None:
    """Raise the Hub's answer to a download as a one-line error, if it has answered."""
    errors = hub_client().errors
    if isinstance(error, errors.RevisionNotFoundError):
        raise RunError(f"{name}: the repository has no such revision") from error
    if isinstance(error, errors.RepositoryNotFoundError):
        raise RunError(
            f"{name}: no such repository on the Hub, or a private one; {LOG_IN}"
        ) from error
    if isinstance(error, errors.HFValidationError):
        raise RunError(f"{name}: not a name on the Hub: {first_line(error)}") from error


def _why(error: BaseException) -> str:
    if isinstance(error, hub_client().errors.OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE forbids downloads"
    return f"cannot be downloaded ({first_line(error)})"


def root(error: BaseException) -> BaseException:
    """Return the Hub's error in the chain of causes, or the first error."""
    cause = error.__cause__
    is_answer = isinstance(error, hub_client().errors.HfHubHTTPError)
    return error if cause is None or is_answer else root(cause)


def first_line(error: BaseException) -> str:
    """Return the first line of an error message, or the error's type."""
    return (str(error).splitlines() or [type(error).__name__])[0]
