"""Images for localizers that want to see a collection first."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import NamedTuple

from wsol.data.images import MAX_PIXELS
from wsol.data.loader import ImageFiles, load_batches, normalized, split_batches
from wsol.data.sources import ImageSource, here
from wsol.data.transforms import Transform
from wsol.errors import ImageError
from wsol.inference.device import Compute
from wsol.localizers import ScoreMaps
from wsol.localizers._forward import Images

log = logging.getLogger("wsol")

MAX_FIT_IMAGES = 32
"""A localizer is shown no more, taken evenly: what they have in common shows in so many."""

SEARCHED = 256
"""Images that are looked at together, where none of those can be read."""


class Preprocessing(NamedTuple):
    """How images are made the network's input.

    Attributes:
        transform: makes an image an array.
        mean: per colour, on the scale of [0, 1].
        std: per colour, on the scale of [0, 1].
        compute: device and precision.
        batch_size: images per step.
        num_workers: processes that decode images.
        max_pixels: larger images are refused before they are decoded.
    """

    transform: Transform
    mean: Sequence[float]
    std: Sequence[float]
    compute: Compute
    batch_size: int = 16
    num_workers: int = 0
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
    paths: Sequence[ImageSource],
    preprocessing: Preprocessing,
    parts: Iterable[range] | None = None,
    least_side: int | None = None,
) -> Iterator[Inputs]:
    """Yield the network's inputs, batch by batch.

    Args:
        paths: of the images.
        preprocessing: how they are read.
        parts: indices of the images to read; no batch has images of two parts. Default: all.
        least_side: as of ``ImageFiles``.
    """
    files = ImageFiles(paths, preprocessing.transform, preprocessing.max_pixels, least_side)
    ranges = [range(len(paths))] if parts is None else parts
    keys = chain.from_iterable(split_batches(part, preprocessing.batch_size) for part in ranges)
    for batch in load_batches(files, keys, preprocessing.num_workers):
        images = batch.images.to(preprocessing.compute.device)
        images = (
            normalized(images, preprocessing.mean, preprocessing.std) if batch.indices else images
        )
        yield Inputs(batch.indices, images, batch.sizes, batch.errors)


def fit_localizer(
    localizer: ScoreMaps, paths: Sequence[ImageSource], preprocessing: Preprocessing
) -> bool:
    """Show images to a localizer that wants to see some, and do nothing for any other.

    Args:
        localizer: any.
        paths: of the images; those that cannot be read are left out.
        preprocessing: how they are read.

    Returns:
        Whether it can be asked now: False where it wants to see some and none can be read.
    """
    if not localizer.needs_fit:
        return True
    count = min(len(paths), MAX_FIT_IMAGES)
    log.info("showing %d images to the localizer", count)
    shown = _inputs([paths[index * len(paths) // count] for index in range(count)], preprocessing)
    first = next(shown, None)
    if first is None:
        log.info("none of them can be read: looking for others")
        # No more than a batch of those that can.
        shown, first = iter(()), next(_all_inputs(paths, preprocessing), None)
    if first is None:
        return False
    with preprocessing.compute.autocast():
        localizer.fit(chain([first], shown))
    return True


def _all_inputs(paths: Sequence[ImageSource], preprocessing: Preprocessing) -> Iterator[Images]:
    for start in range(0, len(paths), SEARCHED):
        yield from _inputs(paths[start : start + SEARCHED], preprocessing)


def _inputs(paths: Sequence[ImageSource], preprocessing: Preprocessing) -> Iterator[Images]:
    found = [image for image in map(here, paths) if image is not None]
    for inputs in load_inputs(found, preprocessing):
        if inputs.indices:
            yield inputs.images
