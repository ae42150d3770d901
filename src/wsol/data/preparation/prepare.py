"""Preparation of data sets from their archives, and reports of their contents."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from wsol._utils.concurrency import in_order
from wsol._utils.progress import Meter
from wsol.data.annotations.masks import read_mask_folder
from wsol.data.archives import Member
from wsol.data.config import CubConfig, ImagenetConfig, OpenimagesConfig, PrepareConfig
from wsol.data.file_index import IMAGE_SUFFIXES
from wsol.data.images import read_image_size
from wsol.data.names import SPLITS
from wsol.data.open import open_data
from wsol.data.preparation.download import check_md5, download
from wsol.data.preparation.extract import State, bytes_below, check_disk_space, unfinished, unpack
from wsol.data.preparation.imagenet import prepare_imagenet
from wsol.data.samples import Samples
from wsol.errors import ImageError

OFFICIAL: Final = {
    "cub": {"train": 5_994, "test": 5_794},
    "imagenet": {"train": 1_281_167, "val": 10_000, "test": 50_000},
    "openimages": {"train": 29_819, "val": 2_500, "test": 5_000},
}
"""Published number of images of each split."""

_THREADS: Final = 8


@dataclass(frozen=True)
class SplitCounts:
    """Counts of a split.

    Args:
        images: Number of images.
        classes: Number of classes with images.
        fewest: Number of images of the smallest class.
        most: Number of images of the largest class.
        without_ground_truth: Number of images without box or mask; None for splits that need no
            ground truth, such as train.
    """

    images: int
    classes: int
    fewest: int
    most: int
    without_ground_truth: int | None


@dataclass(frozen=True)
class Report:
    """Report on a prepared folder.

    Args:
        splits: Counts by split.
        faults: One-line descriptions of faults.
    """

    splits: dict[str, SplitCounts]
    faults: tuple[str, ...]


def verify(root: Path, out: Path, masks: Path | None = None) -> Report:
    """Count the images of a prepared data set, and check the header of every image and mask.

    `out` is the output folder with the record of finished archives; `masks` is the folder of
    ground-truth masks, if the data set has masks.
    """
    splits = open_data(root, val_fraction=0)
    counts = _counts(root, splits, masks)
    faults = [f"{name}: not finished; run the same command again" for name in unfinished(out)]
    for name, split in counts.items():
        if split.without_ground_truth:
            what = "mask" if masks else "box"
            faults.append(f"{name}: {split.without_ground_truth:,} images have no {what}")
    paths = [path for samples in splits.values() for path in samples.paths()]
    if masks and masks.is_dir():
        paths += sorted(masks.rglob("*.png"))
    return Report(counts, (*faults, *_bad_headers(paths)))


def _counts(root: Path, splits: dict[str, Samples], masks: Path | None) -> dict[str, SplitCounts]:
    """Count the images, without opening them."""
    masked = frozenset(read_mask_folder(masks, root).ids) if masks and masks.is_dir() else None
    return {name: _count(name, samples, masked) for name, samples in splits.items()}


def _count(name: str, samples: Samples, masked: frozenset[str] | None) -> SplitCounts:
    sizes = np.bincount(samples.labels, minlength=len(samples.classes))
    present = sizes[sizes > 0]
    without = None
    if name != "train" and masked is not None:
        without = sum(image not in masked for image in samples.ids)
    elif name != "train" and samples.boxes is not None:
        without = sum(len(boxes) == 0 for boxes in samples.boxes)
    return SplitCounts(len(samples), len(present), int(present.min()), int(present.max()), without)


def _bad_headers(paths: list[Path]) -> Iterator[str]:
    """Yield a message for each file that is not an image."""
    with Meter("verify", len(paths)) as meter:
        for fault in in_order(_fault, paths, _THREADS):
            meter.advance(1)
            if fault:
                yield fault


def _fault(path: Path) -> str | None:
    try:
        read_image_size(path)
    except ImageError as error:
        return str(error)
    return None


IMAGES: Final = "images"
MASKS: Final = "masks"
_FOLDERS: Final = {".jpg": IMAGES, ".jpeg": IMAGES, ".png": MASKS}


def prepare_openimages(config: OpenimagesConfig, state: State) -> None:
    """Write OpenImages30k as class folders, with masks in a separate folder.

    Raises:
        DataError: If an archive is refused, or there is too little disk space.
    """
    todo = [path for path in config.archives if not state.is_finished(path)]
    there = bytes_below(config.out / IMAGES) + bytes_below(config.out / MASKS)
    check_disk_space(config.out, sum(path.stat().st_size for path in todo) - there if todo else 0)
    for path in todo:
        unpack(path, config.out, route_openimages, state)


def route_openimages(member: Member) -> str | None:
    """Return the output path of a member `**/{train,val,test}/<class>/<file>`."""
    split, *rest = member.parts[-3:]
    folder = _FOLDERS.get(Path(member.name).suffix.lower())
    if folder is None or split not in SPLITS or len(rest) != 2 or rest[1].startswith("."):
        return None
    return "/".join((folder, split, *rest))


ROOT: Final = "CUB_200_2011"
"""Root folder in the archive, next to the list of attributes."""


def prepare_cub(config: CubConfig, state: State) -> None:
    """Write CUB-200-2011 in its original layout, after a download if necessary.

    Raises:
        DataError: If an archive is not available or refused, or there is too little disk space.
    """
    archive = config.archive
    if archive is None:
        archive = config.out / f"{ROOT}.tgz"
        download(config.url, archive)
    if not state.is_finished(archive):
        if config.checksum == "md5":
            check_md5(archive, "cub", state)
        check_disk_space(config.out, archive.stat().st_size - bytes_below(config.out / "images"))
        unpack(archive, config.out, route_cub, state)
    if config.cubv2 is not None and not state.is_finished(config.cubv2):
        check_disk_space(config.out, config.cubv2.stat().st_size)
        unpack(config.cubv2, config.out, route_cubv2, state)


def route_cub(member: Member) -> str | None:
    """Return the output path of an image or list of CUB-200-2011; None for other members."""
    root, *parts = member.parts
    is_list = len(parts) == 1 and Path(member.name).suffix == ".txt"
    is_image = len(parts) == 3 and parts[0] == "images" and _is_image(member)
    return "/".join(parts) if root == ROOT and (is_list or is_image) else None


def route_cubv2(member: Member) -> str | None:
    """Return the output path of an image of CUBV2: its class folder, as in wsolevaluation."""
    parts = member.parts
    if len(parts) < 2 or not _is_image(member):
        return None
    return f"images/{parts[-2]}/{parts[-1]}"


def _is_image(member: Member) -> bool:
    path = Path(member.name)
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")


def prepare(config: PrepareConfig) -> Report:
    """Prepare a data set, resume an interrupted preparation, or verify a prepared data set.

    Args:
        config: options of the preparation; their type selects the data set.

    Raises:
        DataError: an archive is not available or refused, or there is too little disk space.
    """
    if not config.verify:
        with State(config.out) as state:
            if isinstance(config, CubConfig):
                prepare_cub(config, state)
            elif isinstance(config, ImagenetConfig):
                prepare_imagenet(config, state)
            else:
                prepare_openimages(config, state)
    has_masks = not isinstance(config, CubConfig | ImagenetConfig)
    root = config.out / IMAGES if has_masks else config.out
    masks = config.out / MASKS if has_masks else None
    if config.verify:
        return verify(root, config.out, masks)
    return Report(_counts(root, open_data(root, val_fraction=0), masks), ())
