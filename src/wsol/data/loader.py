"""Loading of image files as batches of tensors, in worker processes."""

import logging
import signal
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from traceback import clear_frames
from typing import NamedTuple

import numpy as np
import simplejpeg
import torch
from numpy.typing import NDArray
from PIL.JpegImagePlugin import JpegImageFile
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from wsol._utils.concurrency import Death, ending_after, isolated
from wsol.data.images import MAX_PIXELS, decode_image, open_image, orientation
from wsol.data.sources import ImageSource, name_of, open_source
from wsol.data.transforms import TrainTransform, Transform
from wsol.errors import ImageError

MOST_SECONDS = 300.0
"""Time limit in seconds of an image in a worker process, so that it cannot block all others."""

log = logging.getLogger("wsol")


@dataclass(frozen=True, slots=True)
class Key:
    """Index of an image, and seed of its random transform."""

    index: int
    seed: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Item:
    """Image, or the error of an unreadable image."""

    index: int
    pixels: NDArray[np.uint8] | None
    size: tuple[int, int]
    error: ImageError | None


class Batch(NamedTuple):
    """Batch of images of the same size, uint8 ``(N, 3, H, W)``, channels last in memory.

    ``indices`` and ``sizes`` (width and height of the original) are those of the readable images,
    ``errors`` has index and error of each unreadable one.
    """

    indices: list[int]
    images: Tensor
    sizes: list[tuple[int, int]]
    errors: list[tuple[int, ImageError]]


class ImageFiles(Dataset[Item]):
    """Data set of image files, decoded (see ``decode_image``) and transformed on access."""

    def __init__(
        self,
        paths: Sequence[ImageSource],
        transform: Transform,
        max_pixels: int = 50_000_000,
        least_side: int | None = None,
    ) -> None:
        """Store the paths and their transform."""
        self.paths, self.transform, self.max_pixels = paths, transform, max_pixels
        self.least_side = least_side

    def __len__(self) -> int:
        """Return the number of files."""
        return len(self.paths)

    def __getitem__(self, key: Key) -> Item:
        """Decode and transform an image; an unreadable file returns an item with its error."""
        try:
            pixels, size = self.read(key)
        except ImageError as error:
            return Item(key.index, None, (0, 0), error)
        return Item(key.index, pixels, size, None)

    def read(self, key: Key) -> tuple[NDArray[np.uint8], tuple[int, int]]:
        """Return the array, uint8 ``(H, W, 3)``, and width and height of the original image.

        Raises:
            ImageError: the image cannot be read.
        """
        image, size = decode_image(self.paths[key.index], self.max_pixels, self.least_side)
        return self.transform(image, key.seed), size


def collate(items: Sequence[Item]) -> Batch:
    """Collate items to a batch."""
    good = [(item, item.pixels) for item in items if item.pixels is not None]
    stack = np.stack([pixels for _, pixels in good]) if good else np.zeros((0, 1, 1, 3), np.uint8)
    return Batch(
        indices=[item.index for item, _ in good],
        images=torch.from_numpy(stack).permute(0, 3, 1, 2),
        sizes=[item.size for item, _ in good],
        errors=[(item.index, item.error) for item in items if item.error is not None],
    )


def load_batches(
    files: ImageFiles,
    keys: Iterable[list[Key]],
    num_workers: int,
    pin_memory: bool = False,
    most_seconds: float = MOST_SECONDS,
) -> Iterator[Batch]:
    """Yield one batch for each list of keys, in order.

    If a worker process crashes or hangs, its pending images are loaded again in isolated processes.
    An image that crashes its process is an error of its batch, and new workers continue with the
    rest. Without workers, the program crashes. An image in a worker process has a time limit.

    Raises:
        OSError: no worker process can be started.
    """
    loader_of = partial(
        DataLoader[Item],
        collate_fn=collate,
        pin_memory=pin_memory,
        # As the loader draws a number, which would change the global state.
        generator=torch.Generator(),
    )
    if not num_workers:
        yield from loader_of(files, batch_sampler=keys)
        return
    limited, rest = _Limited(files, most_seconds), iter(keys)
    while True:
        # Requested batches that have not been returned yet.
        waiting: deque[list[Key]] = deque()
        noted = _noted(rest, waiting)
        loader = loader_of(limited, batch_sampler=noted, num_workers=num_workers)
        batches: Iterator[Batch] = iter(())
        try:
            with _deaths_found_in_order():
                batches = iter(loader)
            for batch in batches:
                waiting.popleft()
                yield batch
        except (RuntimeError, OSError, EOFError) as error:
            # Without pending batches, no worker process could be started.
            if not waiting:
                raise
            # The error may come from a crash; an error of the code is raised again below.
            reason = str(error).partition("\n")[0]
            log.warning("a worker process crashed; loading its images in isolation: %s", reason)
            # The traceback keeps the other workers alive.
            del batches
            clear_frames(error.__traceback__)
        else:
            return
        for late in waiting:
            yield collate(_with_care(limited, late))


class _Limited(Dataset[Item]):
    """Data set with a time limit per image, which terminates the process on timeout."""

    def __init__(self, files: ImageFiles, most_seconds: float) -> None:
        self.files, self.most_seconds = files, most_seconds

    def __getitem__(self, key: Key) -> Item:
        with ending_after(self.most_seconds):
            return self.files[key]


def _noted(keys: Iterator[list[Key]], waiting: deque[list[Key]]) -> Iterator[list[Key]]:
    for batch in keys:
        waiting.append(batch)
        yield batch


@contextmanager
def _deaths_found_in_order() -> Iterator[None]:
    """Restore the signal handler that torch replaces to raise errors of crashed workers.

    Crashes are then only detected when the next batch is requested, not at any other place.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGCHLD)
    try:
        yield
    finally:
        signal.signal(signal.SIGCHLD, before)


def _with_care(files: _Limited, keys: Sequence[Key]) -> list[Item]:
    found = isolated(files.__getitem__, keys)
    return [
        _dead(files.files.paths[key.index], key, item) if isinstance(item, Death) else item
        for key, item in zip(keys, found, strict=True)
    ]


def _dead(image: ImageSource, key: Key, death: Death) -> Item:
    reason = f"cannot be loaded; the worker process crashed: {death.reason}"
    return Item(key.index, None, (0, 0), ImageError(name_of(image), reason))


def split_batches(indices: Sequence[int], batch_size: int) -> list[list[Key]]:
    """Split indices into batches of keys, without random transforms."""
    return [
        [Key(index) for index in indices[start : start + batch_size]]
        for start in range(0, len(indices), batch_size)
    ]


def normalized(images: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Normalize uint8 images ``(N, 3, H, W)`` to float32, preferably channels last in memory.

    Mean and standard deviation per channel are on the scale of [0, 1].

    >>> white = torch.full((1, 3, 1, 1), 255, dtype=torch.uint8)
    >>> normalized(white, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)).flatten().tolist()
    [1.0, 1.0, 1.0]
    """
    count, colours, height, width = images.shape
    # Operate on whole rows: constants per channel would make torch fifteen times slower.
    offset, scale = (_row(tuple(values), width, images.device) for values in (mean, std))
    rows = images.permute(0, 2, 3, 1).float().reshape(count, height, width * colours)
    rows.div_(255).sub_(offset).div_(scale)
    return rows.view(count, height, width, colours).permute(0, 3, 1, 2)


@lru_cache(maxsize=64)
def _row(values: tuple[float, ...], width: int, device: torch.device) -> Tensor:
    """Return constants per channel for a row of pixels; cached, as creation synchronizes a GPU."""
    return torch.tensor(values, device=device).repeat(width)


class TrainFiles(ImageFiles):
    """Data set of image files, decoded and cropped for training on access.

    Args:
        paths: paths of the files, or sources of their bytes.
        transform: training transform.
        scaled: whether large JPEG files may be decoded at a smaller scale.
    """

    def __init__(
        self, paths: Sequence[ImageSource], transform: TrainTransform, scaled: bool = True
    ) -> None:
        """Store the paths and their transform."""
        super().__init__(paths, transform, least_side=transform.least_side if scaled else None)
        self.crop = transform.crop

    def read(self, key: Key) -> tuple[NDArray[np.uint8], tuple[int, int]]:
        """Return the crop, uint8 ``(H, W, 3)``, and the size of the image."""
        pixels, size = decode_pixels(self.paths[key.index], self.max_pixels, self.least_side)
        return self.crop(pixels, key.seed), size


class Pixels(NamedTuple):
    """Image as uint8 ``(H, W, 3)``, and width and height of the original, as displayed."""

    pixels: NDArray[np.uint8]
    size: tuple[int, int]


def decode_pixels(
    image: ImageSource, max_pixels: int = MAX_PIXELS, least_side: int | None = None
) -> Pixels:
    """Decode an image file to an array, with the same pixels as ``decode_image``.

    Most JPEG files are decoded by simplejpeg, which uses the same library as Pillow, but decodes
    directly to an array. Pillow checks all headers, and decodes images that must be scaled or
    rotated, are not color JPEG, or raise any error in simplejpeg, so that errors are always those
    of Pillow.

    Args:
        image: image file.
        max_pixels: pixel limit, width times height; it is checked before decoding.
        least_side: see ``decode_image``.

    Raises:
        ImageError: the file is missing, empty, damaged, truncated, too large or not an image.

    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from PIL import Image
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "a.jpg")
    ...     Image.new("RGB", (20, 10), "white").save(file)
    ...     pixels, size = decode_pixels(file)
    >>> pixels.shape, int(pixels.min()), size
    ((10, 20, 3), 255, (20, 10))
    """
    found = _decode_plain(image, max_pixels, least_side)
    if found is not None:
        return found
    decoded = decode_image(image, max_pixels, least_side)
    return Pixels(np.array(decoded.image), decoded.size)


def _decode_plain(source: ImageSource, max_pixels: int, least_side: int | None) -> Pixels | None:
    with open_image(source, max_pixels) as image:
        if not isinstance(image, JpegImageFile) or image.mode != "RGB" or orientation(image) != 1:
            return None
        if least_side is not None and min(image.size) >= 2 * least_side:
            return None
        with open_source(source) as file:
            try:
                return Pixels(simplejpeg.decode_jpeg(file.read(), "RGB"), image.size)
            except ValueError:
                return None
