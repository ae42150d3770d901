"""Pictures for localizers that want to see a collection first."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import NamedTuple

from wsol.data.images import MAX_PIXELS
from wsol.data.loader import ImageFiles, load_batches, normalized, split_batches
from wsol.data.sources import Picture, here
from wsol.data.transforms import Transform
from wsol.errors import ImageError
from wsol.inference.device import Compute
from wsol.localizers import ScoreMaps
from wsol.localizers._forward import Images

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


class Inputs(NamedTuple):
    """A batch as it goes into the network.

    Attributes:
        indices: of the images that could be read.
        images: normalised, ``(N, 3, H, W)``, or a pass that has been made of them.
        sizes: width and height of each original image in pixels.
        errors: index and error of the images that could not be read.
    """

    indices: list[int]
    images: Images
    sizes: list[tuple[int, int]]
    errors: list[tuple[int, ImageError]]


def load_inputs(
    paths: Sequence[Picture],
    look: Look,
    parts: Iterable[range] | None = None,
    least_side: int | None = None,
) -> Iterator[Inputs]:
    """Yield the network's inputs, batch by batch.

    Args:
        paths: of the images.
        look: how they are read.
        parts: indices of the images to read; no batch has images of two parts. Default: all.
        least_side: as of ``ImageFiles``.
    """
    files = ImageFiles(paths, look.transform, look.max_pixels, least_side)
    ranges = [range(len(paths))] if parts is None else parts
    keys = chain.from_iterable(split_batches(part, look.batch_size) for part in ranges)
    for batch in load_batches(files, keys, look.workers):
        images = batch.images.to(look.compute.device)
        images = normalized(images, look.mean, look.std) if batch.indices else images
        yield Inputs(batch.indices, images, batch.sizes, batch.errors)


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


def _all_inputs(paths: Sequence[Picture], look: Look) -> Iterator[Images]:
    for start in range(0, len(paths), SEARCHED):
        yield from _inputs(paths[start : start + SEARCHED], look)


def _inputs(paths: Sequence[Picture], look: Look) -> Iterator[Images]:
    found = [picture for picture in map(here, paths) if picture is not None]
    for inputs in load_inputs(found, look):
        if inputs.indices:
            yield inputs.images
