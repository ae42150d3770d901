"""Annotations are recognised by what lies there."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wsol.data.annotations import BoxAnnotations, open_annotations
from wsol.errors import DataError


def test_cub_gives_its_test_images(tmp_path: Path) -> None:
    """Boxes are x, y, width, height there, sizes those of the images; some boxes end outside."""
    (tmp_path / "images/1.Crow").mkdir(parents=True)
    for name, size in (("a", (60, 50)), ("b", (70, 50))):
        Image.new("L", size).save(tmp_path / f"images/1.Crow/{name}.jpg")
    for name, text in {
        "images.txt": "1 1.Crow/a.jpg\n2 1.Crow/b.jpg\n",
        "classes.txt": "1 1.Crow\n",
        "image_class_labels.txt": "1 1\n2 1\n",
        "train_test_split.txt": "1 1\n2 0\n",
        "bounding_boxes.txt": "1 1 1 9 9\n2 5 6 66 40\n",
    }.items():
        (tmp_path / name).write_text(text)
    found = open_annotations(tmp_path)
    assert isinstance(found, BoxAnnotations)
    assert (found.ids, found.classes) == (("1.Crow/b.jpg",), ("1.Crow",))
    assert np.array_equal(found.boxes[0], [[5, 6, 71, 46]])
    assert found.size(0) == (70, 50)
    (tmp_path / "train_test_split.txt").write_text("1 1\n2 1\n")
    with pytest.raises(DataError, match="no test images"):
        open_annotations(tmp_path)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("boxes.txt", r"boxes\.txt: .*\.csv"),
        ("lost.csv", r"lost\.csv: no such file or folder"),
        ("empty", r"empty: no annotations .*image_ids\.txt"),
    ],
)
def test_what_is_not_known_is_named(tmp_path: Path, name: str, reason: str) -> None:
    """One line says what could be there."""
    (tmp_path / "boxes.txt").touch()
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=reason):
        open_annotations(tmp_path / name)


def test_the_suffix_may_be_in_any_case(tmp_path: Path) -> None:
    """As some programs write it."""
    header = "image,class,x0,y0,x1,y1,width,height\n"
    (tmp_path / "boxes.CSV").write_text(header + "a.jpg,crow,1,2,3,4,60,50\n")
    assert open_annotations(tmp_path / "boxes.CSV").ids == ("a.jpg",)
