"""A data set in a few large files instead of many small ones."""

import json
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from wsol._utils.files import write_folder
from wsol._utils.progress import Meter
from wsol.data.open import open_data
from wsol.data.pack_config import PackConfig
from wsol.data.samples import Samples
from wsol.data.shards.index import ShardIndex, save_index
from wsol.data.shards.part import LARGEST
from wsol.data.shards.writer import Place, ShardWriter
from wsol.data.sources import open_source
from wsol.errors import ConfigError, ImageError
from wsol.portable import place, portable

LEAST = 10_000
"""Bytes; with less, nearly every picture would have a shard of its own."""


class Packed(NamedTuple):
    """What was written.

    Attributes:
        pictures: of all splits.
        shards: number of tar files.
        size: bytes of all pictures.
    """

    pictures: int
    shards: int
    size: int


def pack(config: PackConfig) -> Packed:
    """Write a data set as tar shards in WebDataset's form, with an index of where each picture is.

    The pictures' bytes stay as they are. Equal data gives equal bytes, and the folder is there
    when it is complete, or not at all.

    Args:
        config: the options.

    Raises:
        DataError: the data set cannot be used.
        ImageError: a picture cannot be read.
        ConfigError: the folder cannot be written.
    """
    splits = open_data(
        config.data,
        boxes=config.boxes,
        splits=config.splits,
        labels=config.labels,
        split_folders=config.split_folders,
        val_share=0,
    )
    try:
        return write_folder(config.out, lambda folder: _write(folder, splits, config.shard_size))
    except OSError as error:
        raise ConfigError(
            f"{config.out}: cannot be written: {error.strerror}; choose another --out"
        ) from error


def _write(folder: Path, splits: dict[str, Samples], shard_size: int) -> Packed:
    places: list[Place] = []
    count = sum(map(len, splits.values()))
    with Meter("pack", count) as meter, ShardWriter(folder, shard_size) as writer:
        for split, samples in splits.items():
            writer.begin(split)
            for index, key in enumerate(_keys(samples.ids)):
                suffix = PurePosixPath(samples.ids[index]).suffix[1:].lower() or "jpg"
                files = {
                    suffix: _content(samples.path(index)),
                    "cls": str(samples.labels[index]).encode(),
                    "json": json.dumps(_about(split, samples, index)).encode(),
                }
                places.append(writer.add(key, files, suffix))
                meter.advance(1)
    table = np.array(places, dtype=np.int64).reshape(-1, 3)
    where = ShardIndex(
        tuple(writer.shards),
        tuple(name for samples in splits.values() for name in samples.ids),
        table[:, 0].astype(np.int32),
        table[:, 1],
        table[:, 2],
        splits,
    )
    save_index(folder, where)
    # What has its name must be on the disk.
    os.sync()
    return Packed(count, len(writer.shards), int(table[:, 2].sum()))


def _keys(ids: tuple[str, ...]) -> Iterator[str]:
    """Yield a key for each picture: its name without suffix and, as readers cut there, dots."""
    used: set[str] = set()
    for name in ids:
        folder, slash, file = place(name).rpartition("/")
        stem, _, _ = file.rpartition(".")
        first = key = folder + slash + (stem or file).replace(".", "%2E")
        number = 1
        while key in used:
            number += 1
            key = f"{first}~{number}"
        used.add(key)
        yield key


def _content(path: Path) -> bytes:
    try:
        with open_source(path) as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise ImageError(path, f"cannot be read: {error}") from error
    if len(content) > LARGEST:
        raise ImageError(path, f"has more than {LARGEST:,} bytes; leave it out")
    return content


def _about(split: str, samples: Samples, index: int) -> dict[str, Any]:
    """Return what is known of a picture, for readers other than wsol."""

    def names(labels: Any) -> list[str]:
        return [portable(samples.classes[label]) for label in labels]

    about: dict[str, Any] = {
        "id": portable(samples.ids[index]),
        "split": split,
        "label": portable(samples.classes[samples.labels[index]]),
    }
    if samples.label_sets is not None:
        about["labels"] = names(samples.label_sets[index])
    if samples.boxes is not None:
        about["boxes"] = samples.boxes[index].tolist()
        of_boxes = samples.box_labels
        about["box_labels"] = (
            [about["label"]] * len(about["boxes"]) if of_boxes is None else names(of_boxes[index])
        )
    return about
