"""Packing of data sets into tar shards."""

import json
import os
import tarfile
from collections.abc import Iterator, Mapping
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from wsol._utils.files import write_folder
from wsol._utils.names import escape_name, safe_path
from wsol._utils.progress import Meter
from wsol.data.archives import LARGEST
from wsol.data.config import PackConfig
from wsol.data.open import open_data
from wsol.data.samples import Samples
from wsol.data.shards.index import ShardIndex, save_index
from wsol.data.sources import open_source
from wsol.errors import ConfigError, ImageError

_BLOCK = 512


class ShardPosition(NamedTuple):
    """Number of a shard, and offset and size in bytes of a file in it."""

    shard: int
    offset: int
    size: int


class ShardWriter:
    """Writes samples to tar files of limited size.

    The files are reproducible, as members have no times and owners. A new shard is started after
    ``shard_size`` bytes.
    """

    def __init__(self, folder: Path, shard_size: int) -> None:
        """Store the options; shards are created on demand."""
        self.folder, self.shard_size = folder, shard_size
        self.shards: list[str] = []
        self._tar: tarfile.TarFile | None = None
        self._prefix, self._number = "", 0

    def begin(self, prefix: str) -> None:
        """Start shards with another name: ``train-000000.tar`` for the prefix ``train``."""
        self.close()
        self._prefix, self._number = prefix, 0

    def add(self, key: str, files: Mapping[str, bytes]) -> ShardPosition:
        """Add a sample, content by suffix, and return the position of its first file."""
        if self._tar is None or self._tar.offset >= self.shard_size:
            self.close()
            self.shards.append(f"{self._prefix}-{self._number:06d}.tar")
            self._number += 1
            path = self.folder / self.shards[-1]
            self._tar = tarfile.TarFile(path, "w", format=tarfile.PAX_FORMAT)
        positions = []
        for suffix, content in files.items():
            info = tarfile.TarInfo(f"{key}.{suffix}")
            info.size, info.mode = len(content), 0o644
            self._tar.addfile(info, BytesIO(content))
            offset = self._tar.offset - -(-info.size // _BLOCK) * _BLOCK
            positions.append(ShardPosition(len(self.shards) - 1, offset, info.size))
        return positions[0]

    def close(self) -> None:
        """Close the last shard."""
        if self._tar is not None:
            self._tar.close()
            self._tar = None

    def __enter__(self) -> "ShardWriter":
        """Return the writer."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close the last shard."""
        self.close()


class Packed(NamedTuple):
    """Result of packing.

    Attributes:
        images: number of images in all splits.
        shards: number of tar files.
        size: total size of the images in bytes.
    """

    images: int
    shards: int
    size: int


def pack(config: PackConfig) -> Packed:
    """Pack a data set into tar shards in WebDataset format, with an index.

    Image files are copied unchanged. The shards are reproducible, and the output folder is written
    atomically.

    Args:
        config: options of packing.

    Raises:
        DataError: the data set cannot be used.
        ImageError: an image cannot be read.
        ConfigError: the output folder is not writable.
    """
    splits = open_data(
        config.data,
        boxes=config.boxes,
        splits=config.splits,
        labels=config.labels,
        split_folders=config.split_folders,
        val_fraction=0,
    )
    try:
        return write_folder(config.out, lambda folder: _write(folder, splits, config.shard_size))
    except OSError as error:
        raise ConfigError(
            f"{config.out}: cannot be written: {error.strerror}; use another --out"
        ) from error


def _write(folder: Path, splits: dict[str, Samples], shard_size: int) -> Packed:
    places: list[ShardPosition] = []
    count = sum(map(len, splits.values()))
    with Meter("pack", count) as meter, ShardWriter(folder, shard_size) as writer:
        for split, samples in splits.items():
            writer.begin(split)
            for index, key in enumerate(_keys(samples.ids)):
                suffix = PurePosixPath(samples.ids[index]).suffix[1:].lower() or "jpg"
                files = {
                    suffix: _content(samples.path(index)),
                    "cls": str(samples.labels[index]).encode(),
                    "json": json.dumps(_info(split, samples, index)).encode(),
                }
                places.append(writer.add(key, files))
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
    # Sync to disk before the folder gets its final name.
    os.sync()
    return Packed(count, len(writer.shards), int(table[:, 2].sum()))


def _keys(ids: tuple[str, ...]) -> Iterator[str]:
    """Yield a unique key for each image: its name without suffix, and with dots escaped."""
    used: set[str] = set()
    for name in ids:
        folder, slash, file = safe_path(name).rpartition("/")
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
        raise ImageError(path, f"exceeds the limit of {LARGEST:,} bytes; remove it")
    return content


def _info(split: str, samples: Samples, index: int) -> dict[str, Any]:
    """Return the annotations of an image, for readers other than wsol."""

    def names(labels: Any) -> list[str]:
        return [escape_name(samples.classes[label]) for label in labels]

    info: dict[str, Any] = {
        "id": escape_name(samples.ids[index]),
        "split": split,
        "label": escape_name(samples.classes[samples.labels[index]]),
    }
    if samples.label_sets is not None:
        info["labels"] = names(samples.label_sets[index])
    if samples.boxes is not None:
        info["boxes"] = samples.boxes[index].tolist()
        of_boxes = samples.box_labels
        info["box_labels"] = (
            [info["label"]] * len(info["boxes"]) if of_boxes is None else names(of_boxes[index])
        )
    return info
