"""Pseudo-boxes are the untrained default's boxes, of images whose label is known."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from wsol.data.samples import Samples
from wsol.errors import DataError
from wsol.evaluation import pseudo_boxes
from wsol.evaluation.pseudo_boxes import (
    add_pseudo_boxes,
    choose_reference,
    read_pseudo_boxes,
    write_pseudo_boxes,
)
from wsol.types import Reference, SelectBy

NAMES = ('=a "quoted".jpg', "b,c.jpg", "ä/d e.jpg", "f\ng\udcff.jpg")


@pytest.fixture
def samples(tmp_path: Path) -> Samples:
    """Return four images, one of them with two labels."""
    for name in NAMES:
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        image = Image.new("RGB", (64, 48), (30, 120, 30))
        image.paste((220, 40, 40), (16, 8, 40, 40))
        image.save(file)
    sets = tuple(np.array(own) for own in ([0], [0, 1], [1], [1]))
    labels = np.array([0, 0, 1, 1])
    return Samples(tmp_path, NAMES, labels, ("crow", "wren"), label_sets=sets)


def predict(samples: Samples) -> Samples:
    """Return the samples with pseudo-boxes."""
    return add_pseudo_boxes(samples, batch_size=4, num_workers=0, precision="fp32", device="cpu")


def test_no_more_than_needed_spread_evenly(
    samples: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of three images with one label, two; an image that cannot be read has no box."""
    given: list[Path] = []

    class Fake:
        def __init__(self, **options: object) -> None:
            # All else is the default of wsol predict.
            assert set(options) == {"batch_size", "num_workers", "precision", "device"}

        def __call__(self, paths: Sequence[Path]) -> Iterator[SimpleNamespace]:
            given.extend(paths)
            yield SimpleNamespace(boxes=np.array([[1.0, 2, 3, 4], [5, 6, 7, 8]]))
            yield SimpleNamespace(boxes=np.empty((0, 4)))

    monkeypatch.setattr(pseudo_boxes, "Localizer", Fake)
    monkeypatch.setattr(pseudo_boxes, "MAX_IMAGES", 2)
    found = predict(samples)
    assert [path.name for path in given] == [NAMES[0], "d e.jpg"]
    assert found.own_boxes(0).tolist() == [[1, 2, 3, 4]]
    assert found.num_boxed == 1
    assert samples.boxes is None


def test_a_file_keeps_every_digit(samples: Samples, tmp_path: Path) -> None:
    """Names and boxes come back equal, and images without a box stay without."""
    boxes = tuple(np.array(own) for own in ([[0.1, 1 / 3, 30, 40]], [[1.0, 2, 3, 4]]))
    boxed = replace(samples, boxes=(*boxes, np.empty((0, 4)), np.array([[0, 0, 64.0, 48]])))
    write_pseudo_boxes(tmp_path, boxed)
    back = read_pseudo_boxes(tmp_path, samples)
    assert [back.own_boxes(i).tolist() for i in range(4)] == [
        boxed.own_boxes(i).tolist() for i in range(4)
    ]


@pytest.mark.parametrize(
    ("select_by", "has_boxes", "expected"),
    [
        ("auto", True, "ground_truth"),
        ("auto", False, "pseudo_boxes"),
        ("pseudo_boxes", True, "pseudo_boxes"),
        ("ground_truth", True, "ground_truth"),
    ],
)
def test_ground_truth_comes_first(
    samples: Samples, select_by: SelectBy, has_boxes: bool, expected: Reference
) -> None:
    """If val has some, and nothing else is requested."""
    boxed = replace(samples, boxes=tuple(np.array([[0.0, 0, 5, 5]]) for _ in NAMES))
    splits = {"train": boxed, "val": boxed if has_boxes else samples}
    assert choose_reference(select_by, splits, Path("birds")) == expected


def test_ground_truth_that_is_missing_is_named(samples: Samples) -> None:
    """No other choice is made in its place."""
    with pytest.raises(DataError, match="--select_by"):
        choose_reference("ground_truth", {"val": samples}, Path("birds"))
    with pytest.raises(DataError, match="--boxes"):
        choose_reference("ground_truth", {"train": samples}, Path("birds"))
