"""Reader of tar shards in WebDataset format that were not written by wsol."""

import json
import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple

import numpy as np

from wsol.data.archives import Member, plain_members
from wsol.data.file_index import IMAGE_SUFFIXES, LeftOut
from wsol.data.names import SPLIT_OF, SPLITS, class_fault, class_name
from wsol.data.samples import Samples
from wsol.data.shards.index import ShardIndex
from wsol.errors import DataError

_LARGEST_LABEL: Final = 2**20

_COMPANIONS: Final = re.compile(
    r"(?:^|[._-])(?:seg|segmentation|semantic|instance|panoptic|mask|masks|matte|alpha|trimap|gt|"
    r"label|labels|depth|normal|normals|flow|edge|edges|heatmap|thumb|thumbnail|preview)"
    r"(?:[._-]|$)"
)
"""Matches suffixes of images that accompany the main image of a sample, such as masks."""

_logger = logging.getLogger("wsol")


@dataclass
class _Sample:
    """Sample with all members of a key."""

    key: str
    pixels: list[Member] = field(default_factory=list)
    by_suffix: dict[str, str] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """Class name in the `.json`, otherwise in the `.cls`, otherwise the folder, or empty."""
        try:
            label = json.loads(self.by_suffix.get("json", "{}"))["label"]
        except (ValueError, LookupError, TypeError, RecursionError):
            label = None
        if isinstance(label, str | int) and class_name(str(label)):
            return class_name(str(label))
        text = class_name(self.by_suffix.get("cls", ""))
        return text or class_name(PurePosixPath(self.key).parent.name)

    @property
    def images(self) -> list[Member]:
        """Main images of the sample, without accompanying images.

        Next to `a.jpg`, `a.seg.png` and `a.thumb.jpg` are left out; `a.left.jpg` and `a.right.jpg`
        are two images if there is no `a.jpg`.
        """
        plain = [each for each in self.pixels if "." not in self._suffix(each)]
        if plain:
            return plain
        return [each for each in self.pixels if not _COMPANIONS.search(self._suffix(each))]

    def _suffix(self, member: Member) -> str:
        """Return the part of a member's name after the key, in lower case."""
        return PurePosixPath(member.name).name.partition(".")[2].lower()


class _Row(NamedTuple):
    """Image in a shard."""

    split: str
    name: str
    label: str
    shard: int
    member: Member


def scan_shards(root: Path, shards: Sequence[str]) -> ShardIndex:
    """Scan the headers of tar shards for images and their labels.

    Members with the same name up to the first dot are a sample. The name of an image consists of
    shard and member, `shard-0/key.jpg`. Its label is `label` in the `.json` of the sample,
    otherwise the content of its `.cls`, otherwise its folder. The case of suffixes is ignored.
    Accompanying images of a sample, such as masks, and hidden members are left out. The split is a
    word in the name or folder of the shard (train, val, validation, test), and `train` by default.

    Args:
        root: Folder of the shards.
        shards: Paths of the shards below the folder.

    Returns:
        Index of the images; without splits if an image has no label, or a sample has two images,
        one of which may be a mask.

    Raises:
        DataError: If a shard is damaged, or `val` or `test` has a class that `train` lacks.
    """
    found: list[_Row] = []
    fault = ""
    companions: list[str] = []
    left_out = LeftOut()
    for number, shard in enumerate(shards):
        split, stem = _split_of(shard), shard.removesuffix(".tar")
        for sample in _samples(root / shard, left_out):
            label, images = sample.label, sample.images
            fault = fault or _fault(shard, sample, images, label)
            companions += [each.name for each in sample.pixels if each not in images]
            for each in images:
                # Normalize the name, as members of a folder `.` begin with `./`.
                name = "/".join((stem, *each.parts))
                found.append(_Row(split, name, label, number, each))
    if companions:
        _logger.warning(
            "%s: left out %d accompanying images of samples, such as %r",
            root,
            len(companions),
            companions[0],
        )
    left_out.log(root)
    found.sort(key=lambda row: SPLITS.index(row.split))
    return ShardIndex(
        tuple(shards),
        tuple(row.name for row in found),
        np.array([row.shard for row in found], dtype=np.int32),
        np.array([row.member.offset for row in found], dtype=np.int64),
        np.array([row.member.size for row in found], dtype=np.int64),
        {} if fault or not found else _splits(root, found),
        fault,
    )


def _fault(shard: str, sample: _Sample, images: Sequence[Member], label: str) -> str:
    """Return why the label of a sample is unknown, with a fix; empty if it is known."""
    if not images:
        return ""
    name = f"{shard}: {images[0].name}"
    if not label:
        return (
            f"{name} has no class; add a .cls or .json with the same name up to the first dot, "
            "put it in a folder of its class, or use --labels"
        )
    wrong = class_fault(label)
    if wrong:
        return f"{name}: the class {label!r} {wrong}"
    kinds = [each.name for each in images if "." not in PurePosixPath(each.name).stem]
    if len(kinds) > 1:
        return (
            f"{name} and {kinds[1]} are images of the same sample; rename a mask to "
            f"{sample.key}.mask{PurePosixPath(kinds[1]).suffix}, or an image to another key"
        )
    return ""


def _samples(path: Path, left_out: LeftOut) -> Iterator[_Sample]:
    """Yield the samples of a shard, whose members are consecutive."""
    sample = _Sample("")
    for member in plain_members(path, lambda fault: _logger.warning("%s; skipped", fault)):
        # macOS adds a hidden file `._name` before each file.
        if any(part.startswith(".") for part in member.parts):
            continue
        folder, slash, file = member.name.rpartition("/")
        stem, _, suffix = file.partition(".")
        key = folder + slash + stem
        if key != sample.key:
            yield sample
            sample = _Sample(key)
        if PurePosixPath(file).suffix.lower() in IMAGE_SUFFIXES and stem:
            sample.pixels.append(member)
        elif suffix.lower() in ("cls", "json"):
            text = member.read(_LARGEST_LABEL).decode("utf-8-sig", "surrogateescape")
            sample.by_suffix[suffix.lower()] = text
        else:
            left_out.add(file)
    yield sample


def _split_of(shard: str) -> str:
    words = re.split(r"[^a-z]+", shard.lower())
    return next((SPLIT_OF[word] for word in words if word in SPLIT_OF), "train")


def _splits(root: Path, rows: Sequence[_Row]) -> dict[str, Samples]:
    names: dict[str, set[str]] = {}
    for row in rows:
        names.setdefault(row.split, set()).add(row.label)
    first = next(split for split in ("train", "test", "val") if split in names)
    classes = sorted(names[first], key=lambda name: (name.isdecimal(), _number(name), name))
    for split, own in names.items():
        extra = min(own - set(classes), default=None)
        if extra is not None:
            raise DataError(
                f"{root}: the class {extra!r} of {split} is missing in {first}; add images of it"
            )
    number = {name: index for index, name in enumerate(classes)}
    splits = {}
    for split in names:
        own_rows = [row for row in rows if row.split == split]
        labels = np.array([number[row.label] for row in own_rows], dtype=np.int64)
        splits[split] = Samples(root, tuple(row.name for row in own_rows), labels, tuple(classes))
    return splits


def _number(name: str) -> int:
    return int(name) if name.isdecimal() else 0
