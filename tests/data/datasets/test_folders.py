"""Folders by class become splits, or an error that names the folder."""

import logging
from pathlib import Path

import pytest

from wsol.data.datasets.folders import read_folders
from wsol.errors import AnnotationError, ConfigError, DataError

HEADER = "image,class,x0,y0,x1,y1\n"


def touch(root: Path, *names: str) -> Path:
    """Create empty files and return the root."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def test_splits_share_the_classes_of_train(tmp_path: Path) -> None:
    """Splits share the classes of train."""
    touch(tmp_path, "train/wren/a.jpg", "train/crow/sub/b.png", "train/crow/a.jpg")
    touch(tmp_path, "val/wren/c.jpg", "test/crow/d.jpg", "test/wren/e.JPG", "other/x.txt")
    splits = read_folders(tmp_path)
    assert list(splits) == ["train", "val", "test"]
    assert splits["train"].ids == ("train/crow/a.jpg", "train/crow/sub/b.png", "train/wren/a.jpg")
    assert splits["train"].labels.tolist() == [0, 0, 1]
    assert splits["val"].labels.tolist() == [1]
    assert splits["test"].ids == ("test/crow/d.jpg", "test/wren/e.JPG")
    for samples in splits.values():
        assert samples.classes == ("crow", "wren")
        assert not samples.has_boxes
        assert all(samples.path(i).is_file() for i in range(len(samples)))


def test_folders_without_splits_are_train(tmp_path: Path) -> None:
    """Folders without splits are train."""
    splits = read_folders(touch(tmp_path, "crow/a.jpg", "wren/a.jpg"))
    assert list(splits) == ["train"]
    assert splits["train"].ids == ("crow/a.jpg", "wren/a.jpg")
    assert splits["train"].labels.tolist() == [0, 1]


def test_test_alone_brings_its_own_classes(tmp_path: Path) -> None:
    """Test alone brings its own classes."""
    splits = read_folders(touch(tmp_path, "test/b/1.jpg", "test/a/1.jpg"))
    assert {name: samples.classes for name, samples in splits.items()} == {"test": ("a", "b")}


@pytest.mark.parametrize(
    ("files", "empty", "reason"),
    [
        ([], "", "no images"),
        (["notes.txt"], "", "no images"),
        (["a.jpg"], "", "no class folders"),
        (["train/a.jpg"], "", "train: no class folders"),
        (["train/crow/a.jpg"], "test", "test: no class folders"),
        (["val/crow/a.jpg"], "", "'val'; add a folder 'train' or 'test'"),
        (["train/crow/a.jpg"], "train/wren", "train/wren: this class folder has no images"),
        (["train/crow/a.jpg", "test/crow/a.jpg"], "test/wren", "test/wren: this class folder"),
        (["crow/a.jpg", "wren/.a.jpg"], "", "wren: this class folder has no images"),
        (["train/crow/a.jpg", "val/owl/a.jpg"], "", "val/owl: class 'owl' does not exist in"),
        (["train/crow/a.jpg", "test/Crow/a.jpg"], "", "test/Crow: class 'Crow' does not exist"),
    ],
)
def test_what_cannot_be_used_is_named(
    tmp_path: Path, files: list[str], empty: str, reason: str
) -> None:
    """What cannot be used is named."""
    (touch(tmp_path, *files) / empty).mkdir(parents=True, exist_ok=True)
    with pytest.raises(DataError, match=reason):
        read_folders(tmp_path)


def test_images_beside_the_class_folders_are_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Images beside the class folders are reported."""
    touch(tmp_path, "train/crow/a.jpg", "train/loose.jpg", "sample.png")
    with caplog.at_level(logging.WARNING, logger="wsol"):
        assert read_folders(tmp_path)["train"].ids == ("train/crow/a.jpg",)
    assert "2 images outside class folders" in caplog.text


def test_boxes_of_all_splits_lie_in_one_file(tmp_path: Path) -> None:
    """Boxes of all splits lie in one file."""
    touch(tmp_path, "train/crow/a.jpg", "test/crow/b.jpg")
    (tmp_path / "boxes.csv").write_text(HEADER + "crow/b.jpg,crow,1,2,3,4\n")
    splits = read_folders(tmp_path)
    assert [box.tolist() for box in splits["train"].boxes or ()] == [[]]
    assert [box.tolist() for box in splits["test"].boxes or ()] == [[[1, 2, 3, 4]]]


def test_given_boxes_come_before_csv_before_json(tmp_path: Path) -> None:
    """Given boxes come before CSV before JSON."""
    touch(tmp_path, "data/crow/a.jpg")
    (tmp_path / "data/boxes.json").write_text("not read")
    with pytest.raises(AnnotationError, match=r"boxes\.json"):
        read_folders(tmp_path / "data")
    (tmp_path / "data/boxes.csv").write_text(HEADER + "a.jpg,crow,1,1,2,2\n")
    (tmp_path / "other.csv").write_text(HEADER + "a.jpg,crow,3,3,4,4\n")
    own, other = (
        read_folders(tmp_path / "data"),
        read_folders(tmp_path / "data", tmp_path / "other.csv"),
    )
    assert own["train"].boxes is not None
    assert other["train"].boxes is not None
    assert own["train"].boxes[0].tolist() == [[1, 1, 2, 2]]
    assert other["train"].boxes[0].tolist() == [[3, 3, 4, 4]]


def test_on_bad_reaches_the_reader(tmp_path: Path) -> None:
    """The choice to skip bad rows reaches the reader."""
    touch(tmp_path, "crow/a.jpg")
    (tmp_path / "boxes.csv").write_text(HEADER + "lost.jpg,crow,1,1,2,2\na.jpg,crow,1,1,2,2\n")
    with pytest.raises(AnnotationError, match=r"boxes\.csv:2: no image"):
        read_folders(tmp_path)
    samples = read_folders(tmp_path, on_bad="skip")["train"]
    assert [box.tolist() for box in samples.boxes or ()] == [[[1, 1, 2, 2]]]


def test_linked_class_folders_need_asking(tmp_path: Path) -> None:
    """Linked class folders need asking."""
    touch(tmp_path, "far/a.jpg", "data/wren/b.jpg")
    (tmp_path / "data/crow").symlink_to(tmp_path / "far")
    with pytest.raises(DataError, match="crow: this class folder has no images; replace the link"):
        read_folders(tmp_path / "data")
    samples = read_folders(tmp_path / "data", follow_links=True)["train"]
    assert samples.ids == ("crow/a.jpg", "wren/b.jpg")


@pytest.mark.parametrize(
    ("train", "val", "test"),
    [
        ("Train", "Valid", "Test"),
        ("training", "validation", "testing"),
        ("TRAIN", "VAL", "TEST"),
        ("train_images", "val-images", "test images"),
        ("train2017", "val2017", "test2017"),
        ("trainset", "valset", "testset"),
    ],
)
def test_folders_named_after_splits_are_splits(
    tmp_path: Path, train: str, val: str, test: str, caplog: pytest.LogCaptureFixture
) -> None:
    """However they are spelled; one line says which folder is which split."""
    touch(tmp_path, f"{train}/crow/a.jpg", f"{train}/wren/b.jpg")
    touch(tmp_path, f"{val}/crow/c.jpg", f"{test}/wren/d.jpg")
    with caplog.at_level(logging.INFO, logger="wsol"):
        splits = read_folders(tmp_path)
    assert {name: samples.ids[0] for name, samples in splits.items()} == {
        "train": f"{train}/crow/a.jpg",
        "val": f"{val}/crow/c.jpg",
        "test": f"{test}/wren/d.jpg",
    }
    assert splits["train"].classes == ("crow", "wren")
    (line,) = [store.getMessage() for store in caplog.records]
    assert all(f"{folder}/ is" in line for folder in (train, val, test))


@pytest.mark.parametrize("name", ["train", "test", "val"])
def test_a_class_named_after_a_split_is_a_class(tmp_path: Path, name: str) -> None:
    """As it holds images and no class folders, and other folders are beside it."""
    touch(tmp_path, "bus/a.jpg", "car/b.jpg", f"{name}/c.jpg", f"{name}/d.jpg")
    splits = read_folders(tmp_path)
    assert list(splits) == ["train"]
    assert splits["train"].classes == ("bus", "car", name)
    assert splits["train"].labels.tolist() == [0, 1, 2, 2]


def test_a_folder_that_may_be_a_split_or_a_class_needs_a_word(tmp_path: Path) -> None:
    """Named as a split, the others are left out; with none, all are classes."""
    touch(tmp_path, "bus/a.jpg", "car/b.jpg", "train/express/c.jpg", "train/local/d.jpg")
    with pytest.raises(DataError, match=r"'train'.*'bus'.*--split_folders"):
        read_folders(tmp_path)
    assert read_folders(tmp_path, split_folders=["none"])["train"].classes == (
        "bus",
        "car",
        "train",
    )
    assert read_folders(tmp_path, split_folders=["train=train"])["train"].classes == (
        "express",
        "local",
    )


def test_folders_of_any_name_can_be_splits(tmp_path: Path) -> None:
    """The option names them, and what it does not name is left out."""
    touch(tmp_path, "old/crow/a.jpg", "new/crow/b.jpg", "train/crow/c.jpg")
    splits = read_folders(tmp_path, split_folders=["train=old", "test=new"])
    assert {name: samples.ids for name, samples in splits.items()} == {
        "train": ("old/crow/a.jpg",),
        "test": ("new/crow/b.jpg",),
    }
    with pytest.raises(DataError, match=r"olf.*'old'"):
        read_folders(tmp_path, split_folders=["train=olf"])
    for wrong in (["all"], ["train"], ["dev=old"], ["train=old", "train=new"], ["train=a/b"]):
        with pytest.raises(ConfigError, match="split_folders"):
            read_folders(tmp_path, split_folders=wrong)


def test_two_folders_for_one_split_are_refused(tmp_path: Path) -> None:
    """By both names."""
    touch(tmp_path, "train/crow/a.jpg", "training/crow/b.jpg", "test/crow/c.jpg")
    with pytest.raises(DataError, match=r"'train'.*'training'.*--split_folders"):
        read_folders(tmp_path)


def test_the_folder_above_a_data_set_is_refused(tmp_path: Path) -> None:
    """With the data set's name; a subfolder of a class that is named so alone is none."""
    touch(tmp_path / "parent", "birds/Train/crow/a.jpg", "birds/Test/crow/b.jpg")
    with pytest.raises(DataError, match=r"birds/Train.*use .*parent/birds"):
        read_folders(tmp_path / "parent")
    touch(tmp_path / "vehicles", "rail/train/a.jpg", "rail/tram/b.jpg", "road/c.jpg")
    assert read_folders(tmp_path / "vehicles")["train"].classes == ("rail", "road")


def test_folders_left_out_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """With the number of their images."""
    touch(tmp_path, "train/crow/a.jpg", "test/crow/b.jpg", "extra/crow/c.jpg", "extra/d.jpg")
    read_folders(tmp_path)
    assert "2 images" in caplog.text
    assert "'extra'" in caplog.text


def test_blanks_around_folders_make_no_classes(tmp_path: Path) -> None:
    """The images keep their paths."""
    touch(tmp_path, "train/crow/a.jpg", "train/crow /b.jpg", "train/wren/c.jpg", "test/ crow/d.jpg")
    splits = read_folders(tmp_path)
    assert splits["train"].classes == ("crow", "wren")
    assert sorted(splits["train"].ids[:2]) == ["train/crow /b.jpg", "train/crow/a.jpg"]
    assert splits["test"].labels.tolist() == [0]


def test_folders_that_wsol_has_written_are_no_classes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither a run, nor a folder of exports alone; nor are they counted as such."""
    caplog.set_level(logging.INFO, "wsol")
    touch(tmp_path, "crow/a.jpg", "wren/b.jpg", "run/model.json", "run/model.safetensors")
    touch(tmp_path, "run/report/photos/a.jpg")
    (tmp_path / "exports/yolo").mkdir(parents=True)
    (tmp_path / "exports/yolo/images.csv").write_text('"image_id","file","status","error"\n')
    assert read_folders(tmp_path)["train"].classes == ("crow", "wren")
    assert "all 2 folders as classes" in caplog.text
