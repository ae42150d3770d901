"""Sampling of the images of each training step, as a pure function of the seed."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wsol.data.loader import Key
from wsol.data.samples import Samples


@dataclass(frozen=True)
class ResumableSampler:
    """Order of the images in all steps of a training.

    It has no state, so a training resumes from any step, with any number of processes or workers,
    with the same result as without interruption.

    Args:
        num_images: number of images of the training split.
        batch_size: images per step over all processes; an epoch's incomplete last batch is dropped,
            unless it is the only one.
        epochs: passes over the images.
        seed: random seed of the order and of the images' random transforms.

    >>> order = ResumableSampler(num_images=5, batch_size=2, epochs=3, seed=0)
    >>> order.steps_per_epoch, order.total_steps
    (2, 6)
    >>> keys = list(order.keys(start=4, stop=6, rank=0, world=1))
    >>> [len(batch) for batch in keys], keys[0][0].seed == (0, 2, keys[0][0].index)
    ([2, 2], True)
    """

    num_images: int
    batch_size: int
    epochs: int
    seed: int

    @property
    def images_per_step(self) -> int:
        """Number of images in each step, over all processes."""
        return min(self.batch_size, self.num_images)

    @property
    def steps_per_epoch(self) -> int:
        """Number of steps in each epoch."""
        return self.num_images // self.images_per_step

    @property
    def total_steps(self) -> int:
        """Number of steps in all epochs."""
        return self.epochs * self.steps_per_epoch

    def keys(
        self, start: int, stop: int, rank: int, world: int, parts: int = 1
    ) -> Iterator[list[Key]]:
        """Yield the keys of one process's share of each step from ``start`` to before ``stop``.

        With several ``parts``, each micro-batch of a share is yielded separately.
        """
        for step in range(start, stop):
            epoch, position = divmod(step, self.steps_per_epoch)
            first = position * self.batch_size
            batch = _permutation(self.num_images, self.seed, epoch)[first : first + self.batch_size]
            for part in np.array_split(batch[rank::world], parts):
                yield [Key(index, (self.seed, epoch, index)) for index in part.tolist()]


@lru_cache(maxsize=2)
def _permutation(num_images: int, seed: int, epoch: int) -> NDArray[np.int64]:
    return np.random.default_rng((seed, epoch)).permutation(num_images)


def step_seed(seed: int, step: int, rank: int) -> int:
    """Return the seed of all other random draws of a step in a process: ADL's branch, dropout."""
    return int(np.random.SeedSequence((seed, step, rank)).generate_state(1, np.uint64)[0] >> 1)


def drawn_label(labels: NDArray[np.int64], seed: int, step: int, index: int) -> int:
    """Return one of an image's labels ``(m,)``, m >= 1, drawn for a step.

    It is for methods that use a single label.
    """
    # The last number makes the draw independent of that of the image's transform.
    drawn = np.random.SeedSequence((seed, step, index, 1)).generate_state(1, np.uint64)[0]
    return int(labels[int(drawn) % len(labels)])


def step_labels(
    samples: Samples, indices: list[int], seed: int, step: int
) -> tuple[Tensor, Tensor]:
    """Return the class of each image passed to the network, and the targets of the loss.

    Both are the labels, int64 ``(N,)``. For multi-label images, the first is one of the labels,
    drawn in each step, and the second all of them, float32 ``(N, classes)``.

    >>> from pathlib import Path
    >>> one = Samples(Path(), ("a.jpg",), np.array([1]), ("crow", "wren"))
    >>> step_labels(one, [0], seed=0, step=0)
    (tensor([1]), tensor([1]))
    """
    if not samples.is_multi_label:
        labels = torch.from_numpy(samples.labels[indices])
        return labels, labels
    drawn = [drawn_label(samples.labels_of(index), seed, step, index) for index in indices]
    return torch.tensor(drawn), torch.from_numpy(samples.targets(indices))


def count_right(logits: Tensor, ground_truth: Tensor) -> int:
    """Return the number of images whose highest logit is one of their labels.

    Labels are int64 ``(N,)``; or for multi-label images 1 for each label, float32 ``(N, classes)``.

    >>> logits = torch.tensor([[0.0, 2.0, 1.0], [3.0, 0.0, 0.0]])
    >>> count_right(logits, torch.tensor([2, 0]))
    1
    >>> count_right(logits, torch.tensor([[0.0, 1.0, 1.0], [0.0, 0.0, 1.0]]))
    1
    """
    first = logits.argmax(1)
    if ground_truth.dim() == 1:
        return int((first == ground_truth).sum())
    return int(ground_truth.gather(1, first[:, None]).sum())
