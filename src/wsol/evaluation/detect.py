"""Average precision of the boxes that a classifier predicts, as detectors are measured."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from wsol.data.samples import Samples
from wsol.inference.localizer import Localizer
from wsol.metrics.average_precision import AveragePrecision, Boxes, box_average_precision


def average_precision(locate: Localizer, samples: Samples) -> AveragePrecision:
    """Return the average precision of predicted boxes on a split, the mean over its classes.

    A picture that cannot be read has no boxes.

    Args:
        locate: its classes are numbered as those of the split.
        samples: a split with boxes.
    """
    return box_average_precision(_predicted(locate, samples), _true(samples))


def _predicted(locate: Localizer, samples: Samples) -> Iterator[Boxes]:
    for found in locate(samples.paths(), samples.ids):
        yield Boxes(found.boxes, found.box_labels, found.box_scores)


def _true(samples: Samples) -> list[Boxes]:
    return [
        Boxes(boxes, _labels(samples, index), np.ones(len(boxes)))
        for index, boxes in enumerate(samples.boxes or ())
    ]


def _labels(samples: Samples, index: int) -> NDArray[np.int64]:
    if samples.box_labels is not None:
        return samples.box_labels[index]
    count = 0 if samples.boxes is None else len(samples.boxes[index])
    return np.full(count, samples.labels[index])
