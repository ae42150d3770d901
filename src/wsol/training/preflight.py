"""Checks before training starts, and the run folder."""

import hashlib
import json
from dataclasses import replace

from wsol._utils.files import check_free
from wsol.data.samples import Samples
from wsol.errors import ConfigError, DataError
from wsol.runs.config import check_same, resolved, save_config
from wsol.runs.dataset import write_val_list
from wsol.training.config import TrainConfig

FREE = {
    *("out", "resume", "num_workers", "tensorboard", "save_every", "val_every", "compile"),
    "max_skipped",
}
"""Options that may differ when a run is resumed, as they do not affect its result."""


def trainable(splits: dict[str, Samples], config: TrainConfig) -> Samples:
    """Return the split to train on.

    Raises:
        DataError: the split does not exist, or has no images or a single class.
    """
    if "train" not in splits:
        raise DataError(f"{config.data}: no train split; put the images in train/<class>/")
    samples = splits["train"]
    if len(samples) == 0:
        raise DataError(
            f"{config.data}: the train split has no images; add images to train/<class>/, or use "
            "a lower --val_fraction"
        )
    if len(samples.classes) < 2:
        raise DataError(
            f"{config.data}: only one class ({samples.classes[0]!r}), but a classifier needs at "
            "least two; add a folder of other images"
        )
    return samples


def check_shares(
    images_per_step: int, processes: int, gradient_accumulation_steps: int = 1
) -> None:
    """Raise a ConfigError if the images of a step cannot be shared evenly.

    Each process divides its share into micro-batches.
    """
    if images_per_step % processes:
        raise ConfigError(
            f"batch_size: {images_per_step} images cannot be shared evenly by {processes} "
            f"processes; use a --batch_size that is a multiple of {processes}"
        )
    share = images_per_step // processes
    if share < gradient_accumulation_steps:
        raise ConfigError(
            f"gradient_accumulation_steps: {share} images per step and process cannot be split "
            f"into {gradient_accumulation_steps} micro-batches; use a lower "
            "--gradient_accumulation_steps"
        )


def check_folder(config: TrainConfig) -> None:
    """Raise an error for a folder that contains another run or is being written by a process."""
    check_free(config.out)
    saved = config.out / "config.yaml"
    if config.resume and saved.is_file():
        check_same(saved, config, FREE)
    elif saved.is_file():
        raise ConfigError(f"{config.out}: contains a run; use --resume, or another --out")


def keep_options(config: TrainConfig, val: Samples | None) -> None:
    """Write the options of a new training and the list of val, which makes its folder a run."""
    try:
        write_val_list(config.out, val)
        save_config(config.out / "config.yaml", resolved(replace(config, resume=False)))
    except OSError as error:
        raise ConfigError(
            f"{config.out}: cannot be written: {error.strerror}; use another --out"
        ) from error


def data_digest(train: Samples, val: Samples | None) -> str:
    """Return a digest of the ordered images, labels and classes of both splits.

    It does not depend on the location or the content of the images.
    """
    digest = hashlib.sha256()
    for split in (train, val):
        content = None
        if split is not None:
            sets = split.label_sets
            several = None if sets is None else [each.tolist() for each in sets]
            content = [split.classes, split.ids, split.labels.tolist(), several]
        digest.update(json.dumps(content).encode())
    return digest.hexdigest()
