"""What a prepared data set has, and what it lacks."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from wsol._utils.progress import Meters
from wsol.data.annotations.masks import read_mask_folder
from wsol.data.decode import image_size
from wsol.data.open import open_data
from wsol.data.preparation.extract import unfinished
from wsol.data.samples import Samples
from wsol.errors import ImageError

OFFICIAL: Final = {
    "cub": {"train": 5_994, "test": 5_794},
    "imagenet": {"train": 1_281_167, "val": 10_000, "test": 50_000},
    "openimages": {"train": 29_819, "val": 2_500, "test": 5_000},
}
"""Images of each split, as published."""

_THREADS: Final = 8


@dataclass(frozen=True)
class SplitCounts:
    """What is in one split.

    Args:
        images: How many images.
        classes: How many classes have images.
        fewest: Images of the smallest class.
        most: Images of the largest class.
        without_truth: Images without box or mask; None where that is of no use, as in train.
    """

    images: int
    classes: int
    fewest: int
    most: int
    without_truth: int | None


@dataclass(frozen=True)
class Report:
    """What is in a prepared folder.

    Args:
        splits: By name.
        faults: What is wrong with it, one line each.
    """

    splits: dict[str, SplitCounts]
    faults: tuple[str, ...]


def survey(root: Path, masks: Path | None = None) -> Report:
    """Count what is in a prepared data set, without opening a picture.

    Args:
        root: The folder that `open_data` reads.
        masks: Folder of masks, where the truth is in masks.

    Raises:
        DataError: If it is no data set.
    """
    splits = open_data(root, val_share=0)
    masked = frozenset(read_mask_folder(masks, root).ids) if masks and masks.is_dir() else None
    counts = {name: _count(name, samples, masked) for name, samples in splits.items()}
    return Report(counts, ())


def verify(root: Path, out: Path, meters: Meters, masks: Path | None = None) -> Report:
    """Count what is in a prepared data set, and read the header of every picture and mask.

    Args:
        root: The folder that `open_data` reads.
        out: The folder that was prepared, with the notes of what is finished.
        meters: Show the progress, in files.
        masks: Folder of masks, where the truth is in masks.

    Raises:
        DataError: If it is no data set.
    """
    counts = survey(root, masks).splits
    faults = [f"{name}: not finished; give the same command again" for name in unfinished(out)]
    for name, split in counts.items():
        if split.without_truth:
            what = "mask" if masks else "box"
            faults.append(f"{name}: {split.without_truth:,} images have no {what}")
    paths = [
        samples.path(index)
        for samples in open_data(root, val_share=0).values()
        for index in range(len(samples))
    ]
    if masks and masks.is_dir():
        paths += sorted(masks.rglob("*.png"))
    return Report(counts, (*faults, *_bad_headers(paths, meters)))


def _count(name: str, samples: Samples, masked: frozenset[str] | None) -> SplitCounts:
    sizes = np.bincount(samples.labels, minlength=len(samples.classes))
    present = sizes[sizes > 0]
    without = None
    if name != "train" and masked is not None:
        without = sum(image not in masked for image in samples.ids)
    elif name != "train" and samples.boxes is not None:
        without = sum(len(boxes) == 0 for boxes in samples.boxes)
    return SplitCounts(len(samples), len(present), int(present.min()), int(present.max()), without)


def _bad_headers(paths: list[Path], meters: Meters) -> Iterator[str]:
    """Yield one line for each file that is no picture."""
    with meters("verify", len(paths)) as meter, ThreadPoolExecutor(_THREADS) as threads:
        for fault in _in_batches(threads, paths):
            meter.advance(1)
            if fault:
                yield fault


def _in_batches(threads: ThreadPoolExecutor, paths: list[Path]) -> Iterable[str | None]:
    # map() would make a million futures at once.
    for start in range(0, len(paths), 1000):
        yield from threads.map(_fault, paths[start : start + 1000])


def _fault(path: Path) -> str | None:
    try:
        image_size(path)
    except ImageError as error:
        return str(error)
    return None
