"""A data set is told from another by all that a training makes of its lists."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from wsol.data.samples import Samples
from wsol.training.preflight import data_digest

TRAIN = Samples(
    Path("birds"),
    ("a.jpg", "b.jpg", "c\udcff.jpg"),
    np.array([0, 1, 1]),
    ("crow", "wren"),
    label_sets=(np.array([0]), np.array([1]), np.array([0, 1])),
)


def test_every_change_is_seen() -> None:
    """Of names, labels, multiple labels, classes, order and splits."""
    sets = (np.array([0]), np.array([0, 1]), np.array([0, 1]))
    other = [
        replace(TRAIN, ids=("a.jpg", "b.jpg", "d.jpg")),
        replace(TRAIN, labels=np.array([0, 1, 0])),
        replace(TRAIN, label_sets=sets),
        replace(TRAIN, label_sets=None),
        replace(TRAIN, classes=("crow", "owl")),
        TRAIN.select([1, 0, 2]),
        TRAIN.select([0, 1]),
    ]
    digests = [data_digest(train, None) for train in (TRAIN, *other)]
    digests += [data_digest(TRAIN, val) for val in (TRAIN, *other)]
    digests.append(data_digest(other[-1], TRAIN))
    assert len(set(digests)) == len(digests)


def test_places_and_boxes_are_not_seen() -> None:
    """A data set may be moved, and its boxes may be mended."""
    boxes = tuple(np.zeros((0, 4)) for _ in TRAIN.ids)
    same = replace(TRAIN, root=Path("moved"), boxes=boxes)
    assert data_digest(same, same) == data_digest(TRAIN, TRAIN)
