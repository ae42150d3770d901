"""True boxes for a report: matched by name, and by place where names alone do not do."""

from pathlib import Path

import numpy as np
import pytest

from wsol.data.samples import Samples
from wsol.errors import AnnotationError, DataError
from wsol.formats import PredictionInfo, create_writer
from wsol.reports.page_data import ground_truth_of, read_ground_truth
from wsol.results.localization import Localization

from .conftest import write_boxes


def test_of_several_splits_the_one_that_was_predicted_counts(tmp_path: Path) -> None:
    """A file of boxes for the whole data set serves the prediction of one split."""
    rows = ("test/crow/a.jpg,crow,1,2,3,4", "train/crow/a.jpg,crow,5,6,7,8")
    path, sizes = write_boxes(tmp_path / "boxes.csv", list(rows)), {"crow/a.jpg": (64, 48)}
    for split, expected in (("test", [[1, 2, 3, 4]]), ("train", [[5, 6, 7, 8]])):
        ground_truth = read_ground_truth(path, sizes, tmp_path / split)
        np.testing.assert_array_equal(ground_truth["crow/a.jpg"].boxes, expected)
    with pytest.raises(AnnotationError, match=r"boxes\.csv:3: .* both name the image"):
        read_ground_truth(path, sizes, tmp_path / "elsewhere")


def test_a_split_has_the_ground_truth_with_multiple_labels() -> None:
    """Each box has its own class; without boxes the classes are still known."""
    samples = Samples(
        Path(),
        ("a.jpg", "b.jpg"),
        np.array([1, 0]),
        ("cat", "dog"),
        (np.array([[0.0, 0, 5, 5], [1, 1, 9, 9]]), np.zeros((0, 4))),
        (np.array([0, 1]), np.array([0])),
        (np.array([1, 0]), np.zeros(0, np.int64)),
    )
    found = ground_truth_of(samples)
    assert (found["a.jpg"].box_classes, found["a.jpg"].classes) == (("dog", "cat"), ("cat", "dog"))
    assert (found["b.jpg"].box_classes, found["b.jpg"].classes) == ((), ("cat",))


def test_boxes_are_matched_by_the_end_of_names(tmp_path: Path) -> None:
    """Either may be the longer one; others are left out."""
    sizes = {"a/1.jpg": (100, 100), "2.jpg": (100, 100)}
    rows = ["1.jpg,cat,1,2,30,40", "test/dog/2.jpg,dog,0,0,5,5", "2/3.jpg,dog,0,0,5,5"]
    found = read_ground_truth(write_boxes(tmp_path / "boxes.csv", rows), sizes)
    assert {name: one.classes for name, one in found.items()} == {
        "a/1.jpg": ("cat",),
        "2.jpg": ("dog",),
    }


@pytest.mark.parametrize("folder", ["", "photos/"])
@pytest.mark.parametrize("name", ["a%2Eb.jpg", "line\nbreak.jpg", "back\\slash.jpg", "\udcff.jpg"])
def test_our_own_exports_name_the_images(name: str, folder: str, tmp_path: Path) -> None:
    """Names that COCO's JSON cannot hold as they are, alone or below another folder."""
    writer = create_writer("coco", tmp_path, PredictionInfo(("crow",), tmp_path, 0.2))
    box = {"boxes": np.array([[1.0, 2, 30, 40]]), "box_scores": np.ones(1)}
    writer.add(Localization(folder + name, (64, 48), box_labels=np.zeros(1, int), **box))
    writer.close()
    found = read_ground_truth(tmp_path / "annotations.json", {name: (64, 48)})
    assert found[name].boxes.tolist() == [[1, 2, 30, 40]]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("1.jpg,cat,1,2,130,40", "ends outside"),
        ("1.jpg,cat,30,2,3,40", "must be greater"),
        ("1.jpg,cat,nan,2,3,40", "not finite"),
        ("1.jpg,cat,0,0,5,5", "repeats"),
        ("c.jpg,cat,0,0,5,5", "matches more than one image"),
        ("x/b/1.jpg,cat,0,0,5,5", "both name the image"),
    ],
)
def test_bad_boxes_are_refused_with_their_line(row: str, reason: str, tmp_path: Path) -> None:
    """Nothing is clipped or guessed."""
    sizes = {"1.jpg": (100, 100), "a/c.jpg": (9, 9), "b/c.jpg": (9, 9)}
    path = write_boxes(tmp_path / "boxes.csv", ["1.jpg,cat,0,0,5,5", row])
    with pytest.raises(AnnotationError, match=rf"boxes\.csv:3: .*{reason}"):
        read_ground_truth(path, sizes)


def test_boxes_of_other_images_are_no_ground_truth(tmp_path: Path) -> None:
    """One line instead of an empty figure."""
    path = write_boxes(tmp_path / "boxes.csv", ["z.jpg,cat,0,0,5,5"])
    with pytest.raises(DataError, match="no box of any of the 1 images"):
        read_ground_truth(path, {"1.jpg": (100, 100)})
    with pytest.raises(DataError, match="no such file"):
        read_ground_truth(tmp_path / "none.csv", {})
    (tmp_path / "boxes.txt").touch()
    with pytest.raises(DataError, match=r"boxes\.txt: .*\.csv"):
        read_ground_truth(tmp_path / "boxes.txt", {})
