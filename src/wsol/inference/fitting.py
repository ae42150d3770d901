"""Pictures for localizers that want to see a collection first."""

import logging
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import NamedTuple

from torch import Tensor

from wsol.data.decode import MAX_PIXELS
from wsol.data.loader import ImageFiles, load_batches, normalized, split_batches
from wsol.data.sources import Picture, here
from wsol.data.transforms import Transform
from wsol.inference.device import Compute
from wsol.localizers import ScoreMaps

log = logging.getLogger("wsol")

MOST_PICTURES = 32
"""A localizer is shown no more, taken evenly: what they have in common shows in so many."""

SEARCHED = 256
"""Pictures that are looked at together, where none of those can be read."""


class Look(NamedTuple):
    """How pictures are made the network's input.

    Attributes:
        transform: makes a picture an array.
        mean: per colour, on the scale of [0, 1].
        std: per colour, on the scale of [0, 1].
        compute: device and precision.
        batch_size: images per step.
        workers: processes that decode images.
        max_pixels: larger pictures are refused before they are decoded.
    """

    transform: Transform
    mean: Sequence[float]
    std: Sequence[float]
    compute: Compute
    batch_size: int = 16
    workers: int = 0
    max_pixels: int = MAX_PIXELS


def fit_localizer(localizer: ScoreMaps, paths: Sequence[Picture], look: Look) -> bool:
    """Show pictures to a localizer that wants to see some, and do nothing for any other.

    Args:
        localizer: any.
        paths: of the pictures; those that cannot be read are left out.
        look: how they are read.

    Returns:
        Whether it can be asked now: False where it wants to see some and none can be read.
    """
    if not localizer.needs_fit:
        return True
    count = min(len(paths), MOST_PICTURES)
    log.info("showing %d pictures to the localizer", count)
    shown = _inputs([paths[index * len(paths) // count] for index in range(count)], look)
    first = next(shown, None)
    if first is None:
        log.info("none of them can be read: looking for others")
        # No more than a batch of those that can.
        shown, first = iter(()), next(_all_inputs(paths, look), None)
    if first is None:
        return False
    with look.compute.autocast():
        localizer.fit(chain([first], shown))
    return True


def _all_inputs(paths: Sequence[Picture], look: Look) -> Iterator[Tensor]:
    for start in range(0, len(paths), SEARCHED):
        yield from _inputs(paths[start : start + SEARCHED], look)


def _inputs(paths: Sequence[Picture], look: Look) -> Iterator[Tensor]:
    found = [picture for picture in map(here, paths) if picture is not None]
    files = ImageFiles(found, look.transform, look.max_pixels)
    keys = split_batches(range(len(found)), look.batch_size)
    for batch in load_batches(files, keys, look.workers):
        if batch.indices:
            yield normalized(batch.images.to(look.compute.device), look.mean, look.std)
