"""Tar shards that somebody else has written, in the form of WebDataset."""

import json
import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final

import numpy as np

from wsol.data.find import IMAGE_SUFFIXES
from wsol.data.prepare.archive import Member, plain_members
from wsol.data.prepare.names import parts_of
from wsol.data.samples import Samples
from wsol.data.shard_index import ShardIndex
from wsol.errors import DataError

_LARGEST_LABEL: Final = 2**20
_SPLITS: Final = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
}

_logger = logging.getLogger("wsol")


@dataclass
class _Sample:
    """What the members of one key say."""

    shard: int
    key: str
    pictures: list[Member] = field(default_factory=list)
    by_suffix: dict[str, str] = field(default_factory=dict)

    @property
    def label(self) -> str | None:
        """Name of the class: of the `.json`, else the `.cls`, else the folder."""
        try:
            label = json.loads(self.by_suffix.get("json", "{}"))["label"]
        except (ValueError, LookupError, TypeError):
            label = None
        if isinstance(label, str | int) and str(label):
            return str(label)
        text = self.by_suffix.get("cls", "").strip()
        return text or PurePosixPath(self.key).parent.name or None


def scan_shards(root: Path, shards: Sequence[str]) -> ShardIndex:
    """Look through the headers of tar shards for pictures and their labels.

    Members whose names are the same up to the first dot are one sample. A picture is called as its
    shard and member are, `shard-0/key.jpg`; its label is `label` in the sample's `.json`, else what
    its `.cls` says, else the folder that it lies in. The split is told by a word in the shard's
    name (train, val, validation, test), and is `train` where there is none.

    Args:
        root: Folder of the shards.
        shards: Their paths below it.

    Returns:
        The pictures; without splits where one has no label.

    Raises:
        DataError: If a shard is damaged, or `val` or `test` has a class that `train` lacks.
    """
    found: dict[str, list[tuple[str, str | None, Member, int]]] = {}
    for number, shard in enumerate(shards):
        of_split = found.setdefault(_split_of(shard), [])
        stem = shard.removesuffix(".tar")
        for sample in _samples(root / shard, number):
            label = sample.label
            for each in sample.pictures:
                # As paths are: what tar writes of a folder `.` begins with `./`.
                name = "/".join((stem, *parts_of(each.name)))
                of_split.append((name, label, each, number))
    found = {split: found[split] for split in ("train", "val", "test") if found.get(split)}
    rows = [row for of_split in found.values() for row in of_split]
    labelled = bool(rows) and all(row[1] for row in rows)
    named = {split: [(row[0], str(row[1])) for row in of] for split, of in found.items()}
    return ShardIndex(
        tuple(shards),
        tuple(row[0] for row in rows),
        np.array([row[3] for row in rows], dtype=np.int32),
        np.array([row[2].offset for row in rows], dtype=np.int64),
        np.array([row[2].size for row in rows], dtype=np.int64),
        _splits(root, named) if labelled else {},
    )


def _samples(path: Path, shard: int) -> Iterator[_Sample]:
    """Yield the samples of a shard, whose members follow one another."""
    sample = _Sample(shard, "")
    for member in plain_members(path, lambda fault: _logger.warning("%s; passed over", fault)):
        folder, slash, file = member.name.rpartition("/")
        stem, _, suffix = file.partition(".")
        key = folder + slash + stem
        if key != sample.key:
            yield sample
            sample = _Sample(shard, key)
        if PurePosixPath(file).suffix.lower() in IMAGE_SUFFIXES and stem:
            sample.pictures.append(member)
        elif suffix in ("cls", "json"):
            sample.by_suffix[suffix] = member.read(_LARGEST_LABEL).decode("utf-8", "replace")
    yield sample


def _split_of(shard: str) -> str:
    words = re.split(r"[^a-z]+", shard.lower())
    return next((_SPLITS[word] for word in words if word in _SPLITS), "train")


def _splits(root: Path, found: dict[str, list[tuple[str, str]]]) -> dict[str, Samples]:
    names = {split: {label for _, label in rows} for split, rows in found.items()}
    first = next(split for split in ("train", "test", "val") if split in names)
    classes = sorted(names[first], key=lambda name: (name.isdecimal(), _number(name), name))
    for split, own in names.items():
        extra = min(own - set(classes), default=None)
        if extra is not None:
            raise DataError(f"{root}: the shards of {split} have a class {extra!r}, {first} none")
    number = {name: index for index, name in enumerate(classes)}
    return {
        split: Samples(
            root,
            tuple(name for name, _ in rows),
            np.array([number[label] for _, label in rows], dtype=np.int64),
            tuple(classes),
        )
        for split, rows in found.items()
    }


def _number(name: str) -> int:
    return int(name) if name.isdecimal() else 0
