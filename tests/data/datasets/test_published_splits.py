"""Published splits are used image for image, whatever the folder's own layout."""

import logging
from pathlib import Path

import pytest
from PIL import Image

from wsol.data.datasets.published_splits import read_label_file, read_splits
from wsol.data.open import open_data
from wsol.errors import AnnotationError, DataError


def write(root: Path, files: dict[str, str]) -> Path:
    """Write texts below a folder, and tiny images for names of images."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".txt":
            path.write_text(text)
        else:
            Image.new("L", (60, 50)).save(path, "JPEG")
    return root


def metadata(split: str, rows: dict[str, int], boxes: str = "") -> dict[str, str]:
    """Return the files of one split of wsolevaluation's metadata."""
    return {
        f"{split}/image_ids.txt": "".join(f"{name}\n" for name in rows),
        f"{split}/class_labels.txt": "".join(f"{name},{label}\n" for name, label in rows.items()),
        f"{split}/image_sizes.txt": "".join(f"{name},60,50\n" for name in rows),
        f"{split}/localization.txt": boxes,
    }


IMAGENET = dict.fromkeys(
    (
        *("train/n01/n01_7.JPEG", "train/n01/n01_9.JPEG", "train/n02/n02_8.JPEG"),
        *("val/n01/0/0.jpeg", "val/n02/1/0.jpeg", "test/n02/ILSVRC2012_val_00000001.JPEG"),
    ),
    "",
)


def test_metadata_on_a_prepared_tree(tmp_path: Path) -> None:
    """The names of wsolevaluation's tree find the images of ours, with labels and boxes."""
    data = write(tmp_path / "data", IMAGENET)
    meta = write(
        tmp_path / "meta",
        metadata("train", {"train/n02/n02_8.JPEG": 1, "train/n01/n01_9.JPEG": 0})
        | metadata("val", {"val2/1/0.jpeg": 1, "val2/0/0.jpeg": 0}, "val2/0/0.jpeg,1,2,30,40\n")
        | metadata(
            "test",
            {"val/ILSVRC2012_val_00000001.JPEG": 1},
            "val/ILSVRC2012_val_00000001.JPEG,5,6,7,8\nval/ILSVRC2012_val_00000001.JPEG,1,1,9,9\n",
        ),
    )
    splits = open_data(data, splits=meta)
    assert splits["train"].ids == ("train/n02/n02_8.JPEG", "train/n01/n01_9.JPEG")
    assert splits["train"].labels.tolist() == [1, 0]
    assert splits["val"].ids == ("val/n02/1/0.jpeg", "val/n01/0/0.jpeg")
    assert {samples.classes for samples in splits.values()} == {("n01", "n02")}
    assert [boxes.tolist() for boxes in splits["val"].boxes] == [[], [[1, 2, 30, 40]]]
    assert splits["test"].boxes[0].tolist() == [[5, 6, 7, 8], [1, 1, 9, 9]]
    assert splits["test"].path(0).is_file()


def test_metadata_on_a_flat_tree(tmp_path: Path) -> None:
    """Wsolevaluation's own tree has validation images in no class folder."""
    names = ("train/n01/a.JPEG", "train/n02/b.JPEG", "val/ILSVRC2012_val_00000001.JPEG")
    data = write(tmp_path / "data", dict.fromkeys(names, ""))
    meta = write(
        tmp_path / "meta",
        metadata("train", {names[0]: 0, names[1]: 1}) | metadata("test", {names[2]: 1}),
    )
    test = open_data(data, splits=meta)["test"]
    assert (test.ids, test.labels.tolist(), test.classes) == (names[2:], [1], ("n01", "n02"))
    alone = write(tmp_path / "alone", metadata("test", {names[2]: 1}))
    assert open_data(data, splits=alone)["test"].classes == ("0", "1")


def test_masks_are_left_to_the_evaluation_of_maps(tmp_path: Path) -> None:
    """OpenImages30k trains on labels; its masks need not be there."""
    data = write(tmp_path / "data", {"train/0az/a.jpg": "", "test/0az/b.jpg": ""})
    meta = write(
        tmp_path / "meta",
        metadata("train", {"train/0az/a.jpg": 0})
        | metadata(
            "test", {"test/0az/b.jpg": 0}, "test/0az/b.jpg,test/0az/b_1.png,test/0az/b_ignore.png\n"
        ),
    )
    splits = open_data(data, splits=meta, val_fraction=0)
    assert [samples.boxes for samples in splits.values()] == [None, None]
    assert splits["test"].classes == ("0az",)


CUB = {
    "images.txt": "1 1.Crow/a b.jpg\n",
    "images/1.Crow/a b.jpg": "",
    "images/2.Wren/c.jpg": "",
    "images/1.Crow/d.jpg": "",
    "images/2.Wren/9.jpg": "",
}


def test_label_files_of_the_authors(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """They measure on val.txt; test.txt has the same images with boxes of another kind."""
    data = write(tmp_path / "data", CUB)
    labels = write(
        tmp_path / "labels",
        {
            "train.txt": "1.Crow/a b.jpg\t0\t40.0\t30.0\t15.0\t20.0\n2.Wren/c.jpg\t1\t1\t1\t2\t2\n",
            "val.txt": "1.Crow/d.jpg\t0\t5.0\t6.0\t7.0\t8.0\n",
            "test.txt": "1.Crow/d.jpg\t0\t5.0\t6.0\t2.0\t2.0\n",
        },
    )
    with caplog.at_level(logging.INFO, "wsol"):
        splits = open_data(data, splits=labels)
    assert list(splits) == ["train", "test"]
    assert splits["train"].ids == ("1.Crow/a b.jpg", "2.Wren/c.jpg")
    assert splits["train"].boxes is None
    assert splits["test"].boxes[0].tolist() == [[5, 6, 7, 8]]
    assert splits["test"].classes == ("1.Crow", "2.Wren")
    assert "val.txt: used as split test" in caplog.text


def test_label_files_of_three_splits(tmp_path: Path) -> None:
    """Where val and test are of different images, each is what it is called."""
    data = write(tmp_path / "data", CUB)
    labels = write(
        tmp_path / "labels",
        {
            "train.txt": "1.Crow/a b.jpg 0\n2.Wren/c.jpg 1\n",
            "val.txt": "2.Wren/9.jpg 1 1 2 3 4\n2.Wren/9.jpg 1 1 2 5 6\n",
            "test.txt": "1.Crow/d.jpg 0 1 2 3 4\n",
        },
    )
    splits = open_data(data, splits=labels)
    assert {name: samples.ids for name, samples in splits.items()} == {
        "train": ("1.Crow/a b.jpg", "2.Wren/c.jpg"),
        "val": ("2.Wren/9.jpg",),
        "test": ("1.Crow/d.jpg",),
    }
    assert splits["val"].boxes[0].tolist() == [[1, 2, 3, 4], [1, 2, 5, 6]]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("a.jpg", "not enough values|expected"),
        ("a.jpg crow", "expected a name, the number of its class"),
        ("a.jpg 0 1 2 3", "expected a name"),
        ("a.jpg 0 1 2 x 4", "could not convert"),
        ("a.jpg 0 5 2 3 4", "must be greater"),
        ("b.jpg 1", "has two classes"),
    ],
)
def test_wrong_lines_are_refused(tmp_path: Path, line: str, reason: str) -> None:
    """With their place."""
    file = tmp_path / "test.txt"
    file.write_text(f"b.jpg 0 1 2 3 4\n\n{line}\n")
    with pytest.raises(AnnotationError, match=rf"test\.txt:3: .*({reason})"):
        read_label_file(file)


def test_missing_images_are_refused_unless_all_are(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A split is used as published or not at all."""
    data = write(tmp_path / "data", IMAGENET)
    some = {"train/n01/n01_7.JPEG": 0, "train/n01/lost.JPEG": 0}
    with pytest.raises(DataError, match=r"1 of the 2 images .* such as 'train/n01/lost.JPEG'"):
        read_splits(data, write(tmp_path / "a", metadata("train", some)))
    none = {"train/n03/lost.JPEG": 0}
    test = metadata("test", {"val/ILSVRC2012_val_00000001.JPEG": 0})
    meta = write(tmp_path / "b", metadata("train", none) | test)
    assert list(read_splits(data, meta)) == ["test"]
    assert "as none of its images is in" in caplog.text
    with pytest.raises(DataError, match="none of the images listed"):
        read_splits(data, write(tmp_path / "c", metadata("train", none)))


def test_names_that_fit_several_images_or_splits(tmp_path: Path) -> None:
    """Nothing is guessed."""
    data = write(tmp_path / "data", IMAGENET)
    with pytest.raises(DataError, match=r"'0\.jpeg' matches more than one"):
        read_splits(data, write(tmp_path / "a", {"train.txt": "0.jpeg 0\n"}))
    with pytest.raises(DataError, match=r"train\.txt:2: .*'n01_7\.JPEG' match the same image"):
        read_splits(data, write(tmp_path / "b", {"train.txt": "n01_7.JPEG 0\nn01/n01_7.JPEG 0\n"}))
    both = {"train.txt": "n01_7.JPEG 0\n", "test.txt": "n01_7.JPEG 0 1 1 2 2\n"}
    with pytest.raises(DataError, match=r"test\.txt: .* is also in train"):
        read_splits(data, write(tmp_path / "c", both))


def test_folders_that_say_no_splits_or_classes(tmp_path: Path) -> None:
    """The error says what is expected."""
    data = write(tmp_path / "data", IMAGENET)
    with pytest.raises(DataError, match="no splits found; use a folder with train, val or test"):
        read_splits(data, tmp_path / "lost")
    meta = write(tmp_path / "meta", {"train/image_ids.txt": "n01_7.JPEG\n"})
    with pytest.raises(DataError, match=r"image_ids\.txt:1: 'n01_7\.JPEG' has the class ''"):
        read_splits(data, meta)


def test_boxes_of_another_file_replace_the_published_ones(tmp_path: Path) -> None:
    """As they do those of every layout."""
    data = write(tmp_path / "data", IMAGENET)
    labels = write(tmp_path / "a", {"test.txt": "ILSVRC2012_val_00000001.JPEG 0 1 2 3 4\n"})
    boxes = tmp_path / "mine.csv"
    boxes.write_text("image,class,x0,y0,x1,y1\nILSVRC2012_val_00000001.JPEG,n02,5,5,9,9\n")
    test = open_data(data, splits=labels, boxes=boxes)["test"]
    assert test.boxes[0].tolist() == [[5, 5, 9, 9]]
