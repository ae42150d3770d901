"""Average precision of what prediction gives."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wsol.data.samples import Samples
from wsol.evaluation.predictions import average_precision
from wsol.results.localization import Localization

BOX = np.array([[0.0, 0.0, 10.0, 10.0]])


def result(name: str, label: int, score: float, box: Any = BOX) -> Localization:
    """Return one box."""
    return Localization(
        name, (20, 20), boxes=box, box_scores=np.array([score]), box_labels=np.array([label])
    )


@pytest.fixture
def samples(tmp_path: Path) -> Samples:
    """Return two images of two classes, each with a box of either."""
    both = np.array([0, 1])
    boxes = np.concatenate((BOX, BOX + 10))
    return Samples(
        tmp_path,
        ("a.jpg", "b.jpg"),
        np.array([0, 1]),
        ("cat", "dog"),
        (boxes, boxes),
        label_sets=(both, both),
        box_labels=(both, both),
    )


def test_each_class_counts_by_itself(samples: Samples) -> None:
    """Half of the cats are found and none of the dogs: a dog's box in a cat's place is wrong."""
    found = [result("a.jpg", 0, 0.9), result("b.jpg", 1, 0.9)]
    precision = average_precision(found, samples)
    # COCO's curve has 101 points, of which 51 lie at a recall of at most one half.
    assert precision.ap50 == pytest.approx(100 * 51 / 101 / 2)


def test_without_classes_of_boxes_they_are_the_images(tmp_path: Path) -> None:
    """One label an image; one that cannot be read has no boxes."""
    samples = Samples(tmp_path, ("a.jpg", "b.jpg"), np.array([1, 1]), ("cat", "dog"), (BOX, BOX))
    found = [result("a.jpg", 1, 0.4), Localization("b.jpg")]
    precision = average_precision(found, samples)
    assert precision.ap50 == pytest.approx(100 * 51 / 101)
