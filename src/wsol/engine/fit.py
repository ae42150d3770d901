"""Pictures for localizers that want to see a collection first."""

import logging
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from wsol.data.batches import ImageFiles, load_batches, normalized, split_batches
from wsol.data.source import Picture, here
from wsol.data.transforms import Transform
from wsol.localizers import ScoreMaps

log = logging.getLogger("wsol")

MOST_PICTURES = 16
"""A localizer is shown no more, taken evenly: what they have in common shows in so many."""


class Look(NamedTuple):
    """How pictures are made the network's input.

    Attributes:
        transform: makes a picture an array.
        mean: per colour, on the scale of [0, 1].
        std: per colour, on the scale of [0, 1].
        device: of the network.
        batch_size: images per step.
        workers: processes that decode images.
    """

    transform: Transform
    mean: Sequence[float]
    std: Sequence[float]
    device: torch.device
    batch_size: int = 16
    workers: int = 0


def fit_localizer(localizer: ScoreMaps, paths: Sequence[Picture], look: Look) -> None:
    """Show pictures to a localizer that wants to see some, and do nothing for any other.

    Args:
        localizer: any.
        paths: of the pictures; those that cannot be read are left out.
        look: how they are read.
    """
    if not localizer.needs_fit:
        return
    count = min(len(paths), MOST_PICTURES)
    chosen = (here(paths[index * len(paths) // count]) for index in range(count))
    localizer.fit(_inputs([picture for picture in chosen if picture is not None], look))


def _inputs(paths: Sequence[Picture], look: Look) -> Iterator[Tensor]:
    log.info("showing %d pictures to the localizer", len(paths))
    files = ImageFiles(paths, look.transform)
    keys = split_batches(range(len(paths)), look.batch_size)
    for batch in load_batches(files, keys, look.workers):
        if batch.indices:
            yield normalized(batch.images.to(look.device), look.mean, look.std)
