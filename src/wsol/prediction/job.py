"""Prediction jobs: chunks of images, and the files that make a stopped prediction resumable."""

import hashlib
import json
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from wsol import __version__
from wsol._utils.files import NAME, FolderLock, HeldError, write_json
from wsol.errors import ConfigError
from wsol.inference.localizer import Localizer
from wsol.prediction.config import PredictConfig
from wsol.prediction.inputs import ImageCollection
from wsol.results.store import FOLDER, chunk_file
from wsol.runs.config import plain
from wsol.runs.hub import run_files
from wsol.runs.run import read_tensors, write_tensors

FILE = "job.json"
"""File in the store's folder with all inputs that the rows depend on."""

STATE = "localizer.safetensors"
"""File next to it with the state of the localizer that was fitted to the images, for all
processes."""

WAIT = 0.2
"""Seconds between two checks whether another process has fitted the localizer."""

FREE = {
    "images",
    "out",
    "run",
    "labels_from",
    "class_map",
    "split_folders",
    "save_overlays",
    "format",
    "val_fraction",
    "copy_images",
    "report",
    "num_workers",
    "device",
    "shard",
    "overwrite",
    "max_errors",
    "engine",
    "actors",
    "gpus",
}
"""Options that may change when a prediction resumes: the rows do not depend on them, or the plan
contains their resolved value."""


@dataclass(frozen=True)
class PredictionJob:
    """Prediction in chunks, each of which is one file.

    Attributes:
        folder: output folder of the prediction.
        number: number of images.
        chunk_size: images per chunk; the last chunk may have fewer.
        rounds: number of images of each round, if images are added later; a chunk never has images
            of two rounds, so that existing chunks stay valid.
    """

    folder: Path
    number: int
    chunk_size: int
    rounds: tuple[int, ...] = ()

    @cached_property
    def _chunks(self) -> list[range]:
        ends = list(accumulate(self.rounds or (self.number,)))
        return [
            range(first, min(first + self.chunk_size, end))
            for start, end in pairwise([0, *ends])
            for first in range(start, end, self.chunk_size)
        ]

    @property
    def chunks(self) -> int:
        """Number of chunks."""
        return len(self._chunks)

    def images(self, chunk: int) -> range:
        """Return the indices of a chunk's images.

        >>> PredictionJob(Path("boxes"), 10, 4).images(2)
        range(8, 10)
        >>> PredictionJob(Path("boxes"), 10, 4, rounds=(5, 5)).images(2)
        range(5, 9)
        """
        return self._chunks[chunk]

    def missing(self, chunks: Sequence[int] | None = None) -> list[int]:
        """Return which of some chunks, by default of all, have not been written yet."""
        checked = range(self.chunks) if chunks is None else chunks
        return [chunk for chunk in checked if not chunk_file(self.folder, chunk).exists()]


@contextmanager
def begin(
    config: PredictConfig, images: ImageCollection, locate: Localizer, rounds: tuple[int, ...] = ()
) -> Iterator[PredictionJob]:
    """Start or resume a prediction, and lock its folder.

    The localizer is fitted to the images if it needs it. With rounds, the caller ensures that the
    images of earlier rounds are unchanged.

    Raises:
        ConfigError: the folder contains another prediction, another process writes to it, or it is
            not writable.
    """
    home = config.out / FOLDER
    inputs = _inputs(config, images, locate, grows=bool(rounds))
    if config.overwrite and home.exists():
        _remove(home)
    if not home.exists():
        _make(home, inputs)
    with ExitStack() as stack:
        # A shared lock of the shards excludes a process without --shard.
        stack.enter_context(FolderLock(home, shared=bool(config.shard)))
        if config.shard:
            stack.enter_context(FolderLock(home, f"{NAME}-{config.shard.replace('/', '-of-')}"))
        # Remove leftovers of killed processes; a process that still writes a plan uses this one.
        for left in home.parent.glob(f".{home.name}.*.part"):
            shutil.rmtree(left, ignore_errors=True)
        _check(home, inputs)
        _learn(home / STATE, images, locate)
        yield PredictionJob(config.out, len(images), config.chunk_size, rounds)


def _inputs(
    config: PredictConfig, images: ImageCollection, locate: Localizer, grows: bool
) -> dict[str, Any]:
    """Return the inputs that the rows depend on, without the images if they may be added later."""
    options = {name: value for name, value in plain(config).items() if name not in FREE}
    options |= {
        "version": __version__,
        # The resolved values, as "auto" may differ on another machine.
        "precision": locate.compute.precision,
        "device": _device(config, locate),
        "weights": _digest(config.run),
    }
    if grows:
        return options
    return options | {
        "number": len(images),
        "images": images.names.digest(),
        "given_labels": images.labels and images.labels.digest(),
    }


def _device(config: PredictConfig, locate: Localizer) -> str:
    """Return the kind of device that predicts; in a cluster, it is not the one of this machine."""
    on_cpu = not config.gpus if config.engine == "ray" else locate.compute.device.type == "cpu"
    return "cpu" if on_cpu else "gpu"


def _digest(run: Path | None) -> str | None:
    """Return the SHA-256 of a run or an exported model."""
    if run is None:
        return None
    digest = hashlib.sha256()
    for path in run_files(run):
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _make(home: Path, inputs: dict[str, Any]) -> None:
    """Write the store's folder with the plan only, unless another process is first."""
    new = _hidden(home)
    try:
        new.mkdir()
        write_json(new / FILE, inputs)
        new.rename(home)
    except OSError as error:
        if not (home / FILE).exists():
            raise ConfigError(f"{home}: cannot be written: {error.strerror}") from error
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _hidden(home: Path) -> Path:
    """Return a unique temporary path next to the store's folder."""
    # Process ids are not unique across machines and containers.
    return home.with_name(f".{home.name}.{secrets.token_hex(8)}.part")


def _learn(file: Path, images: ImageCollection, locate: Localizer) -> None:
    """Fit a localizer to the images in the first process, and load its state in the others.

    The state is shared, as fits on two machines may differ slightly. If no image can be read,
    nothing is fitted, and no row needs it.
    """
    while not (locate.is_fitted or file.exists()):
        try:
            with FolderLock(file.parent, f"{NAME}-learn"):
                if not file.exists() and locate.fit(images.paths):
                    write_tensors(file, locate.localizer.state())
            break
        except HeldError:
            time.sleep(WAIT)
    if file.exists():
        _load(file, locate)


def _load(file: Path, locate: Localizer) -> None:
    try:
        locate.localizer.load_state(read_tensors(file))
    except (ConfigError, SafetensorError, OSError) as error:
        raise ConfigError(f"{file}: cannot be read: {error}; use --overwrite to restart") from error
    locate.is_fitted = True


def _check(home: Path, inputs: dict[str, Any]) -> None:
    """Raise an error if the folder contains another prediction."""
    try:
        found = json.loads((home / FILE).read_text(encoding="utf-8"))
        saved = {str(name): value for name, value in found.items()}
    except (OSError, ValueError, AttributeError) as error:
        raise ConfigError(
            f"{home}: no resumable prediction; use another --out, or --overwrite to restart"
        ) from error
    number = f"of other images ({saved.get('number')}, now {inputs.get('number')})"
    others = {"number": number, "images": number}
    others |= {"weights": "of another run", "given_labels": "of other labels"}
    for name, value in inputs.items():
        if saved.get(name) != value:
            what = others.get(name, f"with {name} {saved.get(name)!r}, not {value!r}")
            raise ConfigError(
                f"{home.parent}: contains a prediction {what}; use the same value, another --out, "
                "or --overwrite to restart"
            )


def _remove(home: Path) -> None:
    """Remove a store, unless another process writes to it."""
    with FolderLock(home):
        old = _hidden(home)
        home.rename(old)
    shutil.rmtree(old, ignore_errors=True)


def finish(job: PredictionJob, make: Callable[[], None]) -> bool:
    """Run the final step of a prediction, unless another process does; return whether it ran."""
    try:
        lock = FolderLock(job.folder / FOLDER, f"{NAME}-finish")
    except HeldError:
        return False
    with lock:
        make()
    return True
