"""What a training step is told of its pictures, and what counts as right."""

import torch
from torch import Tensor

from wsol.data.samples import Samples
from wsol.training.sampler import drawn_label


def step_truth(samples: Samples, indices: list[int], seed: int, step: int) -> tuple[Tensor, Tensor]:
    """Return the class that the network is told of each image, and what it shall learn.

    Both are the labels, int64 ``(N,)``. Where images have several, the first is one of them, drawn
    anew in each step, and the second all of them, float32 ``(N, classes)``.

    Args:
        samples: what is trained on.
        indices: ``(N,)`` of the images.
        seed: of the training.
        step: that sees them.

    >>> import numpy as np
    >>> from pathlib import Path
    >>> one = Samples(Path(), ("a.jpg",), np.array([1]), ("crow", "wren"))
    >>> step_truth(one, [0], seed=0, step=0)
    (tensor([1]), tensor([1]))
    """
    if not samples.has_several_labels:
        labels = torch.from_numpy(samples.labels[indices])
        return labels, labels
    drawn = [drawn_label(samples.labels_of(index), seed, step, index) for index in indices]
    return torch.tensor(drawn), torch.from_numpy(samples.targets(indices))


def count_right(logits: Tensor, truth: Tensor) -> int:
    """Return how many pictures have a label of theirs as the highest logit.

    Args:
        logits: ``(N, classes)``.
        truth: labels, int64 ``(N,)``; or of several labels 1 for each, float32 ``(N, classes)``.

    >>> logits = torch.tensor([[0.0, 2.0, 1.0], [3.0, 0.0, 0.0]])
    >>> count_right(logits, torch.tensor([2, 0]))
    1
    >>> count_right(logits, torch.tensor([[0.0, 1.0, 1.0], [0.0, 0.0, 1.0]]))
    1
    """
    first = logits.argmax(1)
    if truth.dim() == 1:
        return int((first == truth).sum())
    return int(truth.gather(1, first[:, None]).sum())
