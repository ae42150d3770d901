"""What tells one data set from another."""

import hashlib
import json

from wsol.data.samples import Samples


def data_digest(train: Samples, val: Samples | None) -> str:
    """Return a digest of the images, labels and classes of both splits, in their order.

    Neither where the images lie nor what is in them is a part of it.

    Args:
        train: the training split.
        val: the val split, where there is one.

    >>> import numpy as np
    >>> from pathlib import Path
    >>> samples = Samples(Path(), ("a.jpg", "b.jpg"), np.array([0, 1]), ("crow", "wren"))
    >>> data_digest(samples, None) == data_digest(samples, samples.select([]))
    False
    """
    digest = hashlib.sha256()
    for split in (train, val):
        content = None if split is None else _content(split)
        digest.update(json.dumps(content).encode())
    return digest.hexdigest()


def _content(split: Samples) -> list[object]:
    sets = split.label_sets
    several = None if sets is None else [each.tolist() for each in sets]
    return [split.classes, split.ids, split.labels.tolist(), several]
