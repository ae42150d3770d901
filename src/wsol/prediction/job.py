"""What a prediction has to do, and what of it is done."""

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
from wsol.runs.hub import local_run
from wsol.runs.run import read_tensors, write_tensors

FILE = "plan.json"
"""In the record's folder: what its rows are a function of."""

STATE = "localizer.safetensors"
"""Beside it: what the localizer has learnt of the images, the same for every process."""

WAIT = 0.2
"""Seconds between two looks at whether another process has learnt it."""

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
"""Options that may differ when a prediction goes on: rows do not depend on them, or the plan says
what they stand for."""


@dataclass(frozen=True)
class PredictionJob:
    """A prediction in parts: each is a file that is there or not.

    Attributes:
        folder: of the prediction.
        number: of images.
        chunk_size: images in a part; the last may have fewer.
        rounds: numbers of images that came together, where some came later; no part has images
            of two rounds, so that what is done stays as it is.
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
        """Number of parts."""
        return len(self._chunks)

    def images(self, chunk: int) -> range:
        """Return the numbers of a part's images.

        >>> PredictionJob(Path("boxes"), 10, 4).images(2)
        range(8, 10)
        >>> PredictionJob(Path("boxes"), 10, 4, rounds=(5, 5)).images(2)
        range(5, 9)
        """
        return self._chunks[chunk]

    def missing(self, chunks: Sequence[int] | None = None) -> list[int]:
        """Return the parts that are not there yet.

        Args:
            chunks: to look at; default: all.
        """
        wanted = range(self.chunks) if chunks is None else chunks
        return [chunk for chunk in wanted if not chunk_file(self.folder, chunk).exists()]


@contextmanager
def begin(
    config: PredictConfig, images: ImageCollection, locate: Localizer, rounds: tuple[int, ...] = ()
) -> Iterator[PredictionJob]:
    """Make the plan of a prediction, or take up the one that is there, and keep others out.

    Args:
        config: the options.
        images: to predict.
        locate: it is shown images here, where it wants to see some.
        rounds: numbers of images that came together, where more may come later: the caller sees
            to it that those of earlier rounds are the same.

    Raises:
        ConfigError: another prediction is there, another process writes to it, or the folder
            cannot be written.
    """
    home = config.out / FOLDER
    inputs = _inputs(config, images, locate, grows=bool(rounds))
    if config.overwrite and home.exists():
        _remove(home)
    if not home.exists():
        _make(home, inputs)
    with ExitStack() as stack:
        # All shards of a prediction keep out one that does the whole.
        stack.enter_context(FolderLock(home, shared=bool(config.shard)))
        if config.shard:
            stack.enter_context(FolderLock(home, f"{NAME}-{config.shard.replace('/', '-of-')}"))
        # Killed processes have left them, and one that still makes a plan takes this one.
        for left in home.parent.glob(f".{home.name}.*.part"):
            shutil.rmtree(left, ignore_errors=True)
        _check(home, inputs)
        _learn(home / STATE, images, locate)
        yield PredictionJob(config.out, len(images), config.chunk_size, rounds)


def _inputs(
    config: PredictConfig, images: ImageCollection, locate: Localizer, grows: bool
) -> dict[str, Any]:
    """Return what the rows are a function of, but for the images of a plan that grows."""
    options = {name: value for name, value in plain(config).items() if name not in FREE}
    options |= {
        "version": __version__,
        # Not as they were asked for: another machine may take others.
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
    """Return the kind of device that rows are made on, which in a cluster is not this one."""
    on_cpu = not config.gpus if config.engine == "ray" else locate.compute.device.type == "cpu"
    return "cpu" if on_cpu else "gpu"


def _digest(run: Path | None) -> str | None:
    """Return the SHA-256 of a run, or of an exported file."""
    if run is None:
        return None
    run = local_run(run)
    names = ("model.json", "model.safetensors", "localizer.safetensors")
    files = [run] if run.is_file() else [run / name for name in names if (run / name).exists()]
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _make(home: Path, inputs: dict[str, Any]) -> None:
    """Write a record's folder with its plan and nothing else, unless another process is first."""
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
    """Return a place beside a record's folder that no other process has."""
    # Processes of several machines, or containers, may have the same number.
    return home.with_name(f".{home.name}.{secrets.token_hex(8)}.part")


def _learn(file: Path, images: ImageCollection, locate: Localizer) -> None:
    """Give a localizer what all processes know of the images, which the first of them learns.

    Two machines may learn not quite the same. Where no image can be read nothing is learnt, and
    no row needs it.
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
        raise ConfigError(
            f"{file}: cannot be read: {error}; begin anew with --overwrite"
        ) from error
    locate.is_fitted = True


def _check(home: Path, inputs: dict[str, Any]) -> None:
    """Refuse the folder of another prediction."""
    try:
        found = json.loads((home / FILE).read_text(encoding="utf-8"))
        saved = {str(name): value for name, value in found.items()}
    except (OSError, ValueError, AttributeError) as error:
        raise ConfigError(
            f"{home}: holds no prediction that can go on: choose another --out, or begin anew with "
            "--overwrite"
        ) from error
    instead = "give the same again, choose another --out, or begin anew with --overwrite"
    for name, value in inputs.items():
        if saved.get(name) == value:
            continue
        if name in ("number", "images"):
            was, now = saved.get("number"), inputs["number"]
            raise ConfigError(
                f"{home.parent}: holds a prediction of other images ({was}, now {now}): {instead}"
            )
        if name in ("weights", "given_labels"):
            what = "another run" if name == "weights" else "other labels"
            raise ConfigError(f"{home.parent}: holds a prediction of {what}: {instead}")
        raise ConfigError(
            f"{home.parent}: holds a prediction whose {name} was {saved.get(name)!r} and is "
            f"{value!r} now: {instead}"
        )


def _remove(home: Path) -> None:
    """Remove a record that no other process writes to."""
    with FolderLock(home):
        old = _hidden(home)
        home.rename(old)
    shutil.rmtree(old, ignore_errors=True)


def finish(job: PredictionJob, make: Callable[[], None]) -> bool:
    """Make what is made of all parts, unless another process does.

    Args:
        job: with no part missing.
        make: makes it.

    Returns:
        Whether it was made here.
    """
    try:
        lock = FolderLock(job.folder / FOLDER, f"{NAME}-finish")
    except HeldError:
        return False
    with lock:
        make()
    return True
