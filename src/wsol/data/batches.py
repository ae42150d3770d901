"""From image files to batches of tensors, in worker processes."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from wsol.data.images import decode_image
from wsol.data.transforms import Transform
from wsol.errors import ImageError


@dataclass(frozen=True, slots=True)
class Key:
    """Which picture, and the seed of its random transform."""

    index: int
    seed: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Item:
    """One picture, or the reason why there is none."""

    index: int
    pixels: NDArray[np.uint8] | None
    size: tuple[int, int]
    error: ImageError | None


class Batch(NamedTuple):
    """Pictures of one size.

    Attributes:
        indices: of the pictures that could be read, ``(N,)`` in the data set's order.
        images: uint8 ``(N, 3, H, W)``, channels last in memory.
        sizes: width and height of each original picture in pixels.
        errors: index and error of the pictures that could not be read.
    """

    indices: list[int]
    images: Tensor
    sizes: list[tuple[int, int]]
    errors: list[tuple[int, ImageError]]


class ImageFiles(Dataset[Item]):
    """Image files, decoded and transformed when asked for.

    Args:
        paths: the files.
        transform: makes a picture an array.
        max_pixels: pictures above are refused before they are decoded.
        least_side: JPEG may be decoded at a smaller scale as long as both sides have as many
            pixels; default: it is decoded at its own size.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        transform: Transform,
        max_pixels: int = 50_000_000,
        least_side: int | None = None,
    ) -> None:
        """Name the files and their transform."""
        self.paths, self.transform, self.max_pixels = paths, transform, max_pixels
        self.least_side = least_side

    def __len__(self) -> int:
        """Return the number of files."""
        return len(self.paths)

    def __getitem__(self, key: Key) -> Item:
        """Decode and transform one picture; a bad file is an item with its error."""
        try:
            image, size = decode_image(self.paths[key.index], self.max_pixels, self.least_side)
        except ImageError as error:
            return Item(key.index, None, (0, 0), error)
        return Item(key.index, self.transform(image, key.seed), size, None)


def collate(items: Sequence[Item]) -> Batch:
    """Put items into one batch.

    >>> pixels = np.zeros((4, 4, 3), np.uint8)
    >>> bad = Item(1, None, (0, 0), ImageError("b.jpg", "the file is empty"))
    >>> batch = collate([Item(0, pixels, (8, 8), None), bad])
    >>> batch.indices, batch.images.shape, batch.errors[0][0]
    ([0], torch.Size([1, 3, 4, 4]), 1)
    """
    good = [(item, item.pixels) for item in items if item.pixels is not None]
    stack = np.stack([pixels for _, pixels in good]) if good else np.zeros((0, 1, 1, 3), np.uint8)
    return Batch(
        indices=[item.index for item, _ in good],
        images=torch.from_numpy(stack).permute(0, 3, 1, 2),
        sizes=[item.size for item, _ in good],
        errors=[(item.index, item.error) for item in items if item.error is not None],
    )


def load_batches(
    files: ImageFiles, keys: Iterable[list[Key]], workers: int, pin_memory: bool = False
) -> Iterator[Batch]:
    """Yield one batch for each list of keys, in order.

    Args:
        files: the pictures.
        keys: of each batch.
        workers: number of processes that decode; 0 decodes in this one.
        pin_memory: copy into page-locked memory, for a GPU.
    """
    loader: DataLoader[Item] = DataLoader(
        files,
        batch_sampler=keys,
        num_workers=workers,
        collate_fn=collate,
        pin_memory=pin_memory,
    )
    yield from loader


def split_batches(indices: Sequence[int], batch_size: int) -> list[list[Key]]:
    """Return the keys of consecutive batches of indices, for pictures seen without chance.

    >>> [[key.index for key in batch] for batch in split_batches([5, 6, 7], 2)]
    [[5, 6], [7]]
    """
    return [
        [Key(index) for index in indices[start : start + batch_size]]
        for start in range(0, len(indices), batch_size)
    ]


def normalized(images: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Return uint8 images ``(N, 3, H, W)`` as float32 with the mean and deviation taken out.

    Args:
        images: uint8 ``(N, 3, H, W)``, best channels last in memory, as the result is.
        mean: per colour, on the scale of [0, 1].
        std: per colour, on the scale of [0, 1].

    >>> white = torch.full((1, 3, 1, 1), 255, dtype=torch.uint8)
    >>> normalized(white, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)).flatten().tolist()
    [1.0, 1.0, 1.0]
    """
    count, colours, height, width = images.shape
    # Whole rows at once: torch is fifteen times as slow where each colour has its own constants.
    offset, scale = (
        torch.tensor(values, device=images.device).repeat(width) for values in (mean, std)
    )
    rows = images.permute(0, 2, 3, 1).float().reshape(count, height, width * colours)
    rows.div_(255).sub_(offset).div_(scale)
    return rows.view(count, height, width, colours).permute(0, 3, 1, 2)
