"""Checks before a training starts."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from wsol._utils.files import FolderLock, check_free, output_folder
from wsol.data.samples import Samples
from wsol.errors import ConfigError, DataError
from wsol.runs.config import check_same, resolved, save_config
from wsol.runs.dataset import write_val_list
from wsol.training.config import TrainConfig

FREE = {
    *("out", "resume", "num_workers", "tensorboard", "save_every", "val_every", "compile"),
    "max_skipped",
}
"""Options that may differ when a run goes on: they do not change what it computes."""


def trainable(splits: dict[str, Samples], config: TrainConfig) -> Samples:
    """Return the split to train on.

    Raises:
        DataError: there is none, or it has no images or a single class.
    """
    if "train" not in splits:
        raise DataError(f"{config.data}: no train split: put the images in train/<class>/")
    samples = splits["train"]
    if len(samples) == 0:
        raise DataError(
            f"{config.data}: the train split has no images: put some in train/<class>/, or leave "
            "more of them to it with a lower --val_fraction"
        )
    if len(samples.classes) < 2:
        raise DataError(
            f"{config.data}: only one class ({samples.classes[0]!r}): a classifier needs at least "
            "two; add a folder of other images"
        )
    return samples


def check_shares(
    images_per_step: int, processes: int, gradient_accumulation_steps: int = 1
) -> None:
    """Check that the images of a step can be shared evenly.

    Args:
        images_per_step: over all processes.
        processes: that share them.
        gradient_accumulation_steps: parts of each process's share.

    Raises:
        ConfigError: they cannot.

    >>> check_shares(16, 2, gradient_accumulation_steps=8)
    """
    if images_per_step % processes:
        raise ConfigError(
            f"{images_per_step} images a step cannot be shared evenly by {processes} processes: "
            f"give a --batch_size that is a multiple of {processes}"
        )
    share = images_per_step // processes
    if share < gradient_accumulation_steps:
        raise ConfigError(
            f"{share} images a step and process make no {gradient_accumulation_steps} parts: give "
            f"a lower "
            "--gradient_accumulation_steps"
        )


def check_folder(config: TrainConfig) -> None:
    """Refuse a folder that holds another run, or that another process is writing."""
    check_free(config.out)
    saved = config.out / "config.yaml"
    if config.resume and saved.is_file():
        check_same(saved, config, FREE)
    elif saved.is_file():
        raise ConfigError(f"{config.out}: holds a run already: add --resume, or another --out")


@contextmanager
def claim_folder(config: TrainConfig) -> Iterator[None]:
    """Make the run folder and hold it, or refuse before any time is spent where that cannot be.

    No other process writes there until the end. A folder that was made for this and is still empty
    then is taken away again.
    """
    with output_folder(config.out):
        with _said_in_one_line(config.out):
            lock = FolderLock(config.out)
        with lock:
            yield


def keep_options(config: TrainConfig, val: Samples | None) -> None:
    """Write the options of a training that begins: from now on its folder holds a run.

    Args:
        config: the options.
        val: the val split, whose images are listed beside them.
    """
    with _said_in_one_line(config.out):
        write_val_list(config.out, val)
        save_config(config.out / "config.yaml", resolved(replace(config, resume=False)))


@contextmanager
def _said_in_one_line(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigError(
            f"{out}: cannot be written: {error.strerror}; choose another --out"
        ) from error


def data_digest(train: Samples, val: Samples | None) -> str:
    """Return a digest of the images, labels and classes of both splits, in their order.

    Neither where the images lie nor what is in them is a part of it.

    Args:
        train: the training split.
        val: the val split, where there is one.

    >>> import numpy as np
    >>> from pathlib import Path
    >>> samples = Samples(Path(), ("a.jpg", "b.jpg"), np.array([0, 1]), ("crow", "wren"))
    >>> data_digest(samples, None) == data_digest(samples, samples.select([]))
    False
    """
    digest = hashlib.sha256()
    for split in (train, val):
        content = None if split is None else _content(split)
        digest.update(json.dumps(content).encode())
    return digest.hexdigest()


def _content(split: Samples) -> list[object]:
    sets = split.label_sets
    several = None if sets is None else [each.tolist() for each in sets]
    return [split.classes, split.ids, split.labels.tolist(), several]
