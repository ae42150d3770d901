"""Image batches for networks, and fitting of localizers to a collection."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import NamedTuple, Self

from wsol.data.images import MAX_PIXELS
from wsol.data.loader import ImageFiles, load_batches, normalized, split_batches
from wsol.data.sources import ImageSource, here
from wsol.data.transforms import Transform
from wsol.errors import ImageError
from wsol.inference.config import ComputeOptions
from wsol.inference.device import Compute
from wsol.localizers import ScoreMaps
from wsol.localizers._forward import Images
from wsol.models import Network

log = logging.getLogger("wsol")

MAX_FIT_IMAGES = 32
"""Maximum number of images to fit a localizer to, sampled evenly; more bring no benefit."""

SEARCHED = 256
"""Images per search for a readable one, if none of the sample is readable."""


class Preprocessing(NamedTuple):
    """Preprocessing of images; mean and deviation are per channel, for images in [0, 1]."""

    transform: Transform
    mean: Sequence[float]
    std: Sequence[float]
    compute: Compute
    batch_size: int = 16
    num_workers: int = 0
    max_pixels: int = MAX_PIXELS

    @classmethod
    def of(
        cls,
        transform: Transform,
        network: Network,
        compute: Compute,
        options: ComputeOptions,
        max_pixels: int = MAX_PIXELS,
    ) -> Self:
        """Return the preprocessing of a network's images with the options of a command."""
        batches = options.batch_size, options.num_workers
        return cls(transform, network.mean, network.std, compute, *batches, max_pixels)


class Inputs(NamedTuple):
    """Batch of network inputs.

    The images, normalised ``(N, 3, H, W)`` or their forward pass, have these indices and original
    sizes (width and height). Each unreadable image has its index and error.
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
    """Yield batches of network inputs; no batch spans two of the index ranges ``parts``."""
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
    """Fit a localizer to images, if it needs it; return False if none of them is readable."""
    if not localizer.needs_fit:
        return True
    count = min(len(paths), MAX_FIT_IMAGES)
    log.info("fitting the localizer to %d images", count)
    shown = _inputs([paths[index * len(paths) // count] for index in range(count)], preprocessing)
    first = next(shown, None)
    if first is None:
        log.info("none of them is readable; trying others")
        # At most one batch of readable images.
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
