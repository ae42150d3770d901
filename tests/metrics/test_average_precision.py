"""Average precision against its definition, computed the slow way."""

import numpy as np
import pytest
from numpy.typing import NDArray

from wsol.metrics.average_precision import Boxes, box_average_precision


def boxes_of(random: np.random.Generator, count: int) -> Boxes:
    """Return random boxes of three classes."""
    corner, extent = random.uniform(0, 60, (count, 2)), random.uniform(10, 40, (count, 2))
    boxes = np.concatenate((corner, corner + extent), axis=1)
    return Boxes(boxes, random.integers(0, 3, count), random.permutation(100)[:count] / 100)


def plain_iou(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Return the IoU of areas, as COCO has it: without the extra pixel of the field's boxes."""
    sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    common = float(np.prod(sides.clip(min=0)))
    return common / float(np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - common)


def slow_average_precision(predicted: list[Boxes], true: list[Boxes], level: float) -> float:
    """Return the mean over classes of the precision at 101 recalls, by its definition."""
    values = []
    for label in sorted({int(each) for row in true for each in row.labels}):
        rows: list[tuple[float, int, NDArray[np.float64]]] = [
            (score, image, box)
            for image, row in enumerate(predicted)
            for box, own, score in zip(*row, strict=True)
            if own == label
        ]
        total = sum(int((row.labels == label).sum()) for row in true)
        used: set[tuple[int, int]] = set()
        hits = []
        for _, image, box in sorted(rows, key=lambda row: -row[0]):
            ground_truth = true[image]
            best, chosen = level, None
            for number in np.flatnonzero(ground_truth.labels == label):
                overlap = plain_iou(box, ground_truth.boxes[number])
                if overlap >= best and (image, number) not in used:
                    best, chosen = overlap, number
            hits.append(chosen is not None)
            if chosen is not None:
                used.add((image, int(chosen)))
        right = np.cumsum(hits)
        precision = right / np.arange(1, len(hits) + 1)
        recall = right / total
        reached = [
            max((p for p, r in zip(precision, recall, strict=True) if r >= wanted), default=0.0)
            for wanted in np.linspace(0, 1, 101)
        ]
        values.append(float(np.mean(reached)))
    return 100 * float(np.mean(values))


@pytest.mark.parametrize("seed", range(3))
def test_it_is_what_the_definition_says(seed: int) -> None:
    """True boxes moved a little, some left out, some added, with scores in random order."""
    random = np.random.default_rng(seed)
    true = [boxes_of(random, int(random.integers(1, 5))) for _ in range(8)]
    predicted = []
    for image in true:
        kept = random.random(len(image.labels)) < 0.8
        noise = boxes_of(random, 2)
        moved = image.boxes[kept] + random.normal(0, 1.5, (int(kept.sum()), 4))
        predicted.append(
            Boxes(
                np.concatenate((moved, noise.boxes)),
                np.concatenate((image.labels[kept], noise.labels)),
                random.random(len(moved) + 2),
            )
        )
    found = box_average_precision(predicted, true)
    expected = [slow_average_precision(predicted, true, level / 100) for level in range(50, 100, 5)]
    assert found.ap50 == pytest.approx(expected[0], abs=1e-6)
    assert found.ap75 == pytest.approx(expected[5], abs=1e-6)
    assert found.ap == pytest.approx(np.mean(expected), abs=1e-6)


def test_nothing_predicted_and_nothing_true() -> None:
    """Nothing found is zero, nothing to find is no figure."""
    none = Boxes(np.zeros((0, 4)), np.zeros(0, np.int64), np.zeros(0))
    one = Boxes(np.array([[0.0, 0, 5, 5]]), np.array([0]), np.array([1.0]))
    assert box_average_precision([none], [one]) == (0.0, 0.0, 0.0)
    assert box_average_precision([one], [none]) == (None, None, None)
    with pytest.raises(ValueError, match="predicted has 1 images, but true has 2"):
        box_average_precision([one], [one, one])


def test_a_wrong_class_is_wrong() -> None:
    """The box alone does not count."""
    box = np.array([[0.0, 0, 5, 5]])
    true = Boxes(box, np.array([0]), np.array([1.0]))
    assert box_average_precision([Boxes(box, np.array([1]), np.array([1.0]))], [true]).ap50 == 0
