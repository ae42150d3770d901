"""The metadata folder of wsolevaluation, with boxes or with masks."""

import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from wsol.data.annotations import BoxAnnotations, MaskAnnotations, MaskFiles, open_annotations
from wsol.errors import AnnotationError, DataError

Write = Callable[[dict[str, str]], Path]
BOXES = {
    "image_ids.txt": "val/0/a,b.jpg\nval/0/c.jpg\n",
    "class_labels.txt": "val/0/a,b.jpg,0\nval/0/c.jpg,17\n",
    "image_sizes.txt": "val/0/a,b.jpg,500,375\nval/0/c.jpg,50,40\n",
    "localization.txt": "val/0/a,b.jpg,156,163,318,230\nval/0/c.jpg,1,2,50,40\n"
    "val/0/a,b.jpg,0,0,10,10\n",
}
MASKS = {
    "image_ids.txt": "val/a.jpg\nval/b.jpg\n",
    "class_labels.txt": "val/a.jpg,0\nval/b.jpg,1\n",
    "image_sizes.txt": "",
    "localization.txt": "val/a.jpg,val/a_1.png,val/a_ignore.png\nval/a.jpg,val/a_2.png,\n"
    "val/b.jpg,val/b_1.png,\n",
}


def test_boxes(write: Write) -> None:
    """Several rows an image, and ids with commas; Windows line ends do not matter."""
    folder = write({name: text.replace("\n", "\r\n") for name, text in BOXES.items()})
    found = open_annotations(folder)
    assert isinstance(found, BoxAnnotations)
    assert found.ids == ("val/0/a,b.jpg", "val/0/c.jpg")
    assert found.classes == ("0", "17")
    assert found.boxes[0].tolist() == [[156, 163, 318, 230], [0, 0, 10, 10]]
    assert [found.size(0), found.size(1)] == [(500, 375), (50, 40)]


def test_labels_and_sizes_may_be_missing(write: Write, tmp_path: Path) -> None:
    """Without labels the class is not known, without sizes the images are needed."""
    files = {name: BOXES[name] for name in ("image_ids.txt", "localization.txt")}
    folder = write(files)
    with pytest.raises(DataError, match="--images"):
        open_annotations(folder)
    for name, size in (("a,b.jpg", (500, 375)), ("c.jpg", (50, 40))):
        (tmp_path / "photos/val/0").mkdir(parents=True, exist_ok=True)
        Image.new("L", size).save(tmp_path / "photos/val/0" / name)
    found = open_annotations(folder, tmp_path / "photos")
    assert isinstance(found, BoxAnnotations)
    assert (found.classes, found.size(1)) == ((None, None), (50, 40))


def test_images_that_are_not_listed_are_left_out(
    write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    """The list decides, as it does in the published code, and an image may have no box."""
    with caplog.at_level(logging.WARNING, "wsol"):
        found = open_annotations(write(BOXES | {"image_ids.txt": "val/0/c.jpg\nd.jpg\n"}))
    assert found.ids == ("val/0/c.jpg", "d.jpg")
    assert [found.has_ground_truth(0), found.has_ground_truth(1)] == [True, False]
    assert "left out 1 images not in image_ids.txt" in caplog.text


def test_a_repeated_box_counts_once(write: Write) -> None:
    """The published metadata of ILSVRC repeats some."""
    text = BOXES["localization.txt"]
    found = open_annotations(write(BOXES | {"localization.txt": text + text}))
    assert isinstance(found, BoxAnnotations)
    assert list(map(len, found.boxes)) == [2, 1]


@pytest.mark.parametrize(
    ("file", "text", "place", "reason"),
    [
        ("image_ids.txt", "a.jpg\na.jpg\n", ":2", "'a.jpg' occurs twice"),
        ("class_labels.txt", "a.jpg\n", ":1", "expected 2 fields"),
        ("image_sizes.txt", "val/0/c.jpg,5\n", ":1", "expected 3 fields"),
        ("image_sizes.txt", "val/0/c.jpg,5,x\n", ":1", "x"),
        ("image_sizes.txt", "val/0/c.jpg,5,0\n", ":1", "cannot be 5 x 0"),
        ("image_sizes.txt", "val/0/a,b.jpg,100,100\n", ":1", "ends outside"),
        ("localization.txt", "val/0/c.jpg,1,2,5,4\nval/0/c.jpg,1,2,5,x\n", ":2", "x"),
        ("localization.txt", "val/0/c.jpg,1,2,5,4\nval/0/c.jpg,1,2\n", ":2", "expected 5 fields"),
        ("localization.txt", "val/0/c.jpg,9,2,5,4\n", ":1", "must be greater"),
    ],
)
def test_a_wrong_line_is_named(write: Write, file: str, text: str, place: str, reason: str) -> None:
    """File, line and reason."""
    with pytest.raises(AnnotationError, match=reason) as caught:
        open_annotations(write(BOXES | {file: text}))
    assert place in str(caught.value)


@pytest.mark.parametrize("file", ["image_ids.txt", "localization.txt"])
def test_a_missing_file_is_named(write: Write, file: str) -> None:
    """Ids and truth are needed."""
    with pytest.raises(DataError, match=rf"{file}: No such file"):
        open_annotations(write({name: text for name, text in BOXES.items() if name != file}))


def test_masks(write: Write, tmp_path: Path) -> None:
    """Any number of masks, and one file of pixels to ignore, from a root of their own."""
    root = tmp_path / "root"
    (root / "val").mkdir(parents=True)
    folder = write(MASKS)
    with pytest.raises(DataError, match=r"a_1\.png: no such file \(4 of 4 .*--masks"):
        open_annotations(folder)
    for name in ("a_1", "a_2", "a_ignore", "b_1"):
        (root / f"val/{name}.png").touch()
    found = open_annotations(folder, masks=root)
    assert isinstance(found, MaskAnnotations)
    assert (found.ids, found.classes) == (("val/a.jpg", "val/b.jpg"), ("0", "1"))
    assert found.masks == (
        MaskFiles((root / "val/a_1.png", root / "val/a_2.png"), root / "val/a_ignore.png"),
        MaskFiles((root / "val/b_1.png",)),
    )


def test_masks_lie_in_the_metadata_folder_by_default(write: Write) -> None:
    """Without --masks, paths start where the metadata is; an image may have none."""
    files = MASKS | {"localization.txt": "val/a.jpg,m/a.png,\n", "m/a.png": ""}
    folder = write(files)
    found = open_annotations(folder)
    assert isinstance(found, MaskAnnotations)
    assert found.masks == (MaskFiles((folder / "m/a.png",)), MaskFiles(()))
    assert [found.has_ground_truth(0), found.has_ground_truth(1)] == [True, False]


def test_a_second_file_to_ignore_is_refused(write: Write) -> None:
    """One image has one such file."""
    rows = "val/a.jpg,a.png,i.png\nval/a.jpg,b.png,j.png\n"
    with pytest.raises(
        AnnotationError, match=r"localization\.txt:2: 'val/a\.jpg' has more than one"
    ):
        open_annotations(write(MASKS | {"localization.txt": rows}))
