"""Labels from a file reach their images, any number each, or the row that cannot is named."""

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wsol.data.datasets.label_table import read_labels
from wsol.data.open import open_data
from wsol.data.samples import Samples
from wsol.data.synthetic.scenes import CLASSES, toy_scenes, write_scenes
from wsol.errors import AnnotationError, ConfigError, DataError

IMAGES = ("train/a.jpg", "train/b.jpg", "test/a.jpg", "test/c.jpg")
ROWS = (
    ("train/a.jpg", "wren"),
    ("b.jpg", "crow"),
    ("train/a.jpg", "crow"),
    ("c.jpg", "wren"),
    ("test/a.jpg", "crow"),
    ("test/a.jpg", "wren"),
)


@pytest.fixture
def birds(tmp_path: Path) -> Path:
    """Return a folder with empty images."""
    for name in IMAGES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def csv_file(root: Path, *rows: tuple[str, ...], header: str = "image,label") -> Path:
    """Write a file of labels."""
    file = root / "labels.csv"
    file.write_text("\n".join([header, *(",".join(row) for row in rows)]), encoding="utf-8")
    return file


def coco_file(root: Path, *annotations: Any, **lists: Any) -> Path:
    """Write the labels of `ROWS`, and further annotations, as COCO JSON."""
    images = {name: number for number, name in enumerate(dict.fromkeys(row[0] for row in ROWS))}
    number = {"crow": 3, "wren": 4}
    content = {
        "images": [{"id": images[name], "file_name": name} for name in images],
        "categories": [{"id": number[name], "name": name} for name in number],
        "annotations": [
            *({"image_id": images[name], "category_id": number[label]} for name, label in ROWS),
            *annotations,
        ],
        **lists,
    }
    file = root / "labels.json"
    file.write_text(json.dumps(content), encoding="utf-8")
    return file


def told(splits: dict[str, Samples]) -> dict[str, list[tuple[str, str, list[str]]]]:
    """Return image, label and labels of each split by name."""
    return {
        split: [
            (
                samples.ids[index],
                samples.classes[samples.labels[index]],
                [samples.classes[label] for label in samples.labels_of(index)],
            )
            for index in range(len(samples))
        ]
        for split, samples in splits.items()
    }


EXPECTED = {
    "train": [("train/a.jpg", "wren", ["crow", "wren"]), ("train/b.jpg", "crow", ["crow"])],
    "test": [("test/c.jpg", "wren", ["wren"]), ("test/a.jpg", "crow", ["crow", "wren"])],
}


@pytest.mark.parametrize("write", [csv_file, coco_file])
def test_labels_reach_their_images(birds: Path, write: Any) -> None:
    """In the order of the file, the first listed is the label, and all are the labels."""
    file = write(birds, *ROWS) if write is csv_file else write(birds)
    splits = read_labels(birds, file)
    assert told(splits) == EXPECTED
    assert list(splits) == ["train", "test"]
    for samples in splits.values():
        assert samples.is_multi_label
        assert samples.classes == ("crow", "wren")
        assert not samples.has_boxes
    assert told(open_data(birds, val_fraction=0)) == EXPECTED


def test_a_label_given_twice_is_one(birds: Path) -> None:
    """Several objects of a class, and crowds, say the same thing once more."""
    again = {"image_id": 0, "category_id": 4, "iscrowd": 1, "bbox": "of no interest"}
    assert told(read_labels(birds, coco_file(birds, again))) == EXPECTED
    assert told(read_labels(birds, csv_file(birds, *ROWS, *ROWS))) == EXPECTED


def test_one_label_each_is_an_ordinary_data_set(birds: Path) -> None:
    """Nothing tells it from folders by class."""
    rows = [(name, "crow" if "a" in Path(name).name else "wren") for name in IMAGES]
    for samples in read_labels(birds, csv_file(birds, *rows)).values():
        assert not samples.is_multi_label
        assert samples.label_sets is None
        assert samples.labels.tolist() == [0, 1]


def test_multiple_labels_in_one_split_count_for_all(birds: Path) -> None:
    """A test split of one label each belongs to training on several."""
    splits = read_labels(birds, csv_file(birds, *ROWS[:4]))
    assert [len(splits["test"].labels_of(index)) for index in range(1)] == [1]
    assert all(samples.is_multi_label for samples in splits.values())


def test_the_column_split_is_stronger_than_the_folder(birds: Path) -> None:
    """Where the file has it, it says all; a path without such a folder is for training."""
    rows = [("b.jpg", "crow", "val"), ("c.jpg", "crow", "train"), ("c.jpg", "wren", " train")]
    splits = read_labels(birds, csv_file(birds, *rows, header="image,label,split"))
    assert {name: samples.ids for name, samples in splits.items()} == {
        "train": ("test/c.jpg",),
        "val": ("train/b.jpg",),
    }
    (birds / "d.jpg").touch()
    (birds / "more").mkdir()
    (birds / "more/e.jpg").touch()
    splits = read_labels(birds, csv_file(birds, ("d.jpg", "crow"), ("e.jpg", "wren")))
    assert {name: samples.ids for name, samples in splits.items()} == {
        "train": ("d.jpg", "more/e.jpg")
    }


def test_images_without_a_label_are_left_out(birds: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Whether the file does not know them or knows no label of theirs."""
    with caplog.at_level(logging.WARNING, logger="wsol"):
        read_labels(birds, coco_file(birds))
        assert not caplog.messages
        read_labels(birds, csv_file(birds, *ROWS[:2]))
        file = coco_file(birds, annotations=[{"image_id": 0, "category_id": 3}])
        read_labels(birds, file)
    assert [message.partition(": ")[2] for message in caplog.messages] == [
        "left out 2 images without a label",
        "left out 3 images without a label",
    ]


@pytest.mark.parametrize(
    ("header", "row", "reason"),
    [
        ("image,label", "z.jpg,crow", "no image 'z.jpg' in"),
        ("image,label", "a.jpg,crow", "'a.jpg' matches more than one image; use a longer path"),
        ("image,label", "b.jpg,", "of 'b.jpg' is empty"),
        ("image,label", "b.jpg", "1 fields instead of 2"),
        ("image,label", '"b.jpg"x,crow', "expected after"),
        ("image,label", "c.jpg,crw", "no image of train has the label 'crw'; did you mean 'crow'?"),
        ("image,label,split", "b.jpg,crow,tset", "no split 'tset'; did you mean 'test'?"),
        ("image,label,split", "b.jpg,crow,", "no split ''"),
        ("image,label,split", "train/a.jpg,crow,test", "is already in the split 'train'"),
    ],
)
def test_a_bad_row_is_named(birds: Path, header: str, row: str, reason: str) -> None:
    """With its line and what is wrong."""
    good = "train/a.jpg,crow" + ",train" * (header.count(",") - 1)
    file = birds / "labels.csv"
    file.write_text(f"{header}\n{good}\n{row}\n")
    with pytest.raises(AnnotationError) as caught:
        read_labels(birds, file)
    assert caught.value.line == 3
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({"image_id": 9, "category_id": 3}, r"annotations\[6\]: image_id 9 is not in 'images'"),
        ({"image_id": 0}, r"annotations\[6\]: category_id None is not in 'categories'"),
        ("crow", r"annotations\[6\]: is not an object"),
    ],
)
def test_a_bad_annotation_is_named(birds: Path, entry: Any, reason: str) -> None:
    """By its place in the list."""
    with pytest.raises(AnnotationError, match=reason):
        read_labels(birds, coco_file(birds, entry))


def test_files_that_cannot_be_used(birds: Path) -> None:
    """As a whole: missing, of another kind, without rows, lists or names."""
    with pytest.raises(DataError, match="no such file of labels"):
        read_labels(birds, birds / "labels.csv")
    with pytest.raises(DataError, match=r"use a \.csv or \.json file"):
        read_labels(birds, birds / "train/a.jpg")
    with pytest.raises(DataError, match="contains no labels"):
        read_labels(birds, csv_file(birds))
    with pytest.raises(AnnotationError, match=r"1: needs one column 'label'; expected image,label"):
        read_labels(birds, csv_file(birds, header="image,class"))
    with pytest.raises(AnnotationError, match=r"images\[0\]: needs the text 'file_name'"):
        read_labels(birds, coco_file(birds, images=[{"id": 1}]))
    lost = [{"id": 0, "file_name": "z.jpg"}]
    one = [{"image_id": 0, "category_id": 3}]
    with pytest.raises(AnnotationError, match=r"annotations\[0\]: no image 'z.jpg' in"):
        read_labels(birds, coco_file(birds, images=lost, annotations=one))
    file = csv_file(birds, ("b.jpg", "crow", "val"), header="image,label,split")
    with pytest.raises(DataError, match="'val'; add a split 'train' or 'test'"):
        read_labels(birds, file)


def test_a_file_outside_is_taken_when_it_is_named(birds: Path, tmp_path: Path) -> None:
    """Also where folders by class would do; not together with published splits."""
    file = csv_file(birds, *ROWS).rename(tmp_path / "mine.csv")
    assert told(open_data(birds, labels=file, val_fraction=0)) == EXPECTED
    with pytest.raises(ConfigError, match="use one of them"):
        open_data(birds, labels=file, splits=tmp_path)


def boxed(root: Path, *rows: str) -> dict[str, Samples]:
    """Read the labels of `ROWS` with a file of boxes."""
    (root / "boxes.csv").write_text("\n".join(["image,class,x0,y0,x1,y1", *rows]))
    return read_labels(root, csv_file(root, *ROWS))


def test_boxes_keep_their_classes(birds: Path) -> None:
    """One box may be of two classes; those of the label are told apart."""
    rows = ("wren,0,0,5,5", "crow,0,0,5,5", "crow,1,1,9,9")
    test = boxed(birds, *(f"test/a.jpg,{row}" for row in rows))["test"]
    assert test.boxes is not None
    assert test.box_labels is not None
    assert [boxes.shape for boxes in test.boxes] == [(0, 4), (3, 4)]
    assert [labels.tolist() for labels in test.box_labels] == [[], [1, 0, 0]]
    assert test.box_labels[0].dtype == np.int64
    assert test.own_boxes(1).tolist() == [[0, 0, 5, 5], [1, 1, 9, 9]]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("test/a.jpg,crwo,0,0,5,5", "no class 'crwo'; did you mean 'crow'?"),
        ("c.jpg,crow,0,0,5,5", "class 'crow', but the image is of class 'wren'"),
        ("train/a.jpg,crow,1,1,9,9", "repeats an earlier box"),
    ],
)
def test_a_bad_box_is_named(birds: Path, row: str, reason: str) -> None:
    """With its line and what is wrong."""
    with pytest.raises(AnnotationError) as caught:
        boxed(birds, "train/a.jpg,crow,1,1,9,9", row)
    assert caught.value.line == 3
    assert reason in str(caught.value)


def test_toy_scenes_come_back(tmp_path: Path) -> None:
    """Labels and boxes are those of the scenes, also in the part of train that becomes val."""
    write_scenes(tmp_path, train=30, test=6, seed=3, max_objects=4)
    splits = open_data(tmp_path, val_fraction=0.2)
    assert list(splits) == ["train", "val", "test"]
    scenes = {
        f"{split}/{index:04d}.jpg": scene
        for seed, split, count in ((6, "train", 30), (7, "test", 6))
        for index, scene in enumerate(toy_scenes(count, seed, 4))
    }
    assert sum(map(len, splits.values())) == len(scenes)
    order = np.array([sorted(CLASSES).index(name) for name in CLASSES])
    for samples in splits.values():
        assert samples.classes == tuple(sorted(CLASSES))
        assert samples.boxes is not None
        assert samples.box_labels is not None
        for index, name in enumerate(samples.ids):
            labels = order[scenes[name].labels]
            assert samples.labels[index] == labels[0]
            assert samples.labels_of(index).tolist() == sorted(set(labels.tolist()))
            if name.startswith("test"):
                assert np.array_equal(samples.boxes[index], scenes[name].boxes)
                assert np.array_equal(samples.box_labels[index], labels)
            else:
                assert samples.boxes[index].shape == (0, 4)


def test_blanks_around_labels_and_names_do_not_count(birds: Path) -> None:
    """In CSV and COCO alike, and in the boxes of the same data set."""
    categories = [{"id": 4, "name": "crow"}, {"id": 5, "name": " crow "}]
    annotations = [{"image_id": 0, "category_id": 4}, {"image_id": 1, "category_id": 5}]
    file = coco_file(birds, categories=categories, annotations=annotations)
    assert read_labels(birds, file)["train"].classes == ("crow",)
    file = birds / "labels.csv"
    file.write_text("image, label\ntrain/a.jpg, crow\ntrain/b.jpg, wren \ntest/c.jpg,wren\n")
    (birds / "boxes.csv").write_text("image,class,x0,y0,x1,y1\ntrain/b.jpg , wren ,1,2,3,4\n")
    splits = read_labels(birds, file)
    assert splits["train"].classes == ("crow", "wren")
    assert splits["train"].boxes is not None
    assert splits["train"].boxes[1].tolist() == [[1, 2, 3, 4]]


@pytest.mark.parametrize("label", [b"  ", b"cr\0ow", b"M\xf6we", b"crow\x07"])
def test_labels_that_cannot_be_meant_are_refused(birds: Path, label: bytes) -> None:
    """Blanks alone, control characters, and bytes that are not UTF-8."""
    file = birds / "labels.csv"
    file.write_bytes(b"image,label\ntrain/a.jpg,crow\ntrain/b.jpg," + label + b"\n")
    with pytest.raises(AnnotationError, match=r"train/b\.jpg") as caught:
        read_labels(birds, file)
    assert caught.value.line == 3


def test_first_folders_named_after_splits_are_splits(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As they are without a file of labels, and the option decides otherwise."""
    for name in ("Train/a.jpg", "Testing/b.jpg", "Valid/c.jpg", "old/d.jpg"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    rows = [(f"{name}.jpg", "crow") for name in "abcd"]
    file = csv_file(tmp_path, *rows)
    with caplog.at_level(logging.INFO, logger="wsol"):
        splits = read_labels(tmp_path, file)
    assert {name: samples.ids for name, samples in splits.items()} == {
        "train": ("Train/a.jpg", "old/d.jpg"),
        "val": ("Valid/c.jpg",),
        "test": ("Testing/b.jpg",),
    }
    assert "Testing/ is test" in caplog.text
    splits = read_labels(tmp_path, file, split_folders=["test=old"])
    assert splits["test"].ids == ("old/d.jpg",)
    assert list(read_labels(tmp_path, file, split_folders=["none"])) == ["train"]
