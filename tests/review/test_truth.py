"""True boxes for a report: matched by name, and by place where names alone do not do."""

from pathlib import Path

import numpy as np
import pytest

from wsol.errors import AnnotationError, DataError
from wsol.review.truth import read_truth

HEADER = "image,class,x0,y0,x1,y1\n"
SIZES = {"crow/a.jpg": (64, 48), "crow/b.jpg": (64, 48)}


def boxes_file(folder: Path, *rows: str) -> Path:
    """Write a CSV file of boxes."""
    path = folder / "boxes.csv"
    path.write_text(HEADER + "".join(f"{row}\n" for row in rows))
    return path


@pytest.mark.parametrize("name", ["crow/a.jpg", "a.jpg", "test/crow/a.jpg"])
def test_a_picture_is_named_by_its_id_an_end_of_it_or_more(tmp_path: Path, name: str) -> None:
    """As data sets and detectors do."""
    path = boxes_file(tmp_path, f"{name},crow,1,2,30,40", f"{name},wren,5,5,9,9")
    truth = read_truth(path, SIZES)
    assert list(truth) == ["crow/a.jpg"]
    np.testing.assert_array_equal(truth["crow/a.jpg"].boxes, [[1, 2, 30, 40], [5, 5, 9, 9]])
    assert truth["crow/a.jpg"].box_classes == ("crow", "wren")


def test_of_several_splits_the_one_that_was_predicted_counts(tmp_path: Path) -> None:
    """A file of boxes for the whole data set serves the prediction of one split."""
    rows = ("test/crow/a.jpg,crow,1,2,3,4", "train/crow/a.jpg,crow,5,6,7,8")
    path = boxes_file(tmp_path, *rows)
    for split, expected in (("test", [[1, 2, 3, 4]]), ("train", [[5, 6, 7, 8]])):
        truth = read_truth(path, SIZES, tmp_path / split)
        np.testing.assert_array_equal(truth["crow/a.jpg"].boxes, expected)
    with pytest.raises(AnnotationError, match=r"boxes\.csv:3: .* both name the picture"):
        read_truth(path, SIZES, tmp_path / "elsewhere")


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("a.jpg,crow,1,2,300,40", "boxes.csv:2"),
        ("a.jpg,crow,nan,2,3,4", "boxes.csv:2"),
        ("c.jpg,crow,1,2,3,4", "no box of any of the 2 pictures"),
    ],
)
def test_what_cannot_be_used_is_refused(tmp_path: Path, row: str, reason: str) -> None:
    """With file and line."""
    with pytest.raises(DataError, match=reason):
        read_truth(boxes_file(tmp_path, row), SIZES)
