"""A data set opens whatever its layout, always with something to select on."""

from pathlib import Path

import pytest

from wsol.data.open import open_data
from wsol.errors import ConfigError, DataError


def birds(root: Path, *splits: str) -> Path:
    """Create twenty empty images of two classes in each split."""
    for split in splits:
        for name in ("crow", "wren"):
            (root / split / name).mkdir(parents=True)
            for i in range(20):
                (root / split / name / f"{i}.jpg").touch()
    return root


def test_val_is_split_off_train(tmp_path: Path) -> None:
    """Val is split off train."""
    splits = open_data(birds(tmp_path, "train", "test"), val_fraction=0.2, seed=3)
    assert list(splits) == ["train", "val", "test"]
    assert {name: len(samples) for name, samples in splits.items()} == {
        "train": 32,
        "val": 8,
        "test": 40,
    }
    assert not set(splits["train"].ids) & set(splits["val"].ids)
    again = open_data(tmp_path, val_fraction=0.2, seed=3)
    other = open_data(tmp_path, val_fraction=0.2, seed=4)
    assert again["val"].ids == splits["val"].ids != other["val"].ids


def test_a_val_that_exists_stays(tmp_path: Path) -> None:
    """A val that exists stays."""
    splits = open_data(birds(tmp_path, "train", "val"))
    assert {name: len(samples) for name, samples in splits.items()} == {"train": 40, "val": 40}


def test_no_val_where_none_is_requested_or_possible(tmp_path: Path) -> None:
    """There is no val where none is wanted or possible."""
    assert list(open_data(birds(tmp_path, "train"), val_fraction=0)) == ["train"]
    assert list(open_data(birds(tmp_path / "b", "test"))) == ["test"]
    (tmp_path / "c/crow").mkdir(parents=True)
    (tmp_path / "c/crow/only.jpg").touch()
    assert list(open_data(tmp_path / "c")) == ["train"]


def test_boxes_follow_their_images_into_val(tmp_path: Path) -> None:
    """Boxes follow their images into val."""
    birds(tmp_path, "train")
    rows = [f"{c}/{i}.jpg,{c},{i},0,{i + 1},1" for c in ("crow", "wren") for i in range(20)]
    file = tmp_path / "mine.csv"
    file.write_text("\n".join(["image,class,x0,y0,x1,y1", *rows]))
    for samples in open_data(tmp_path, boxes=file).values():
        assert samples.boxes is not None
        for name, box in zip(samples.ids, samples.boxes, strict=True):
            assert box[0, 0] == int(Path(name).stem)


def test_wrong_requests(tmp_path: Path) -> None:
    """A missing folder and a share of one are refused."""
    with pytest.raises(DataError, match="no such folder"):
        open_data(tmp_path / "missing")
    with pytest.raises(ConfigError, match="between 0 and 1"):
        open_data(birds(tmp_path, "train"), val_fraction=1)


def test_cub_opens_as_cub(cub_root: Path, tmp_path: Path) -> None:
    """CUB opens as CUB, and boxes from elsewhere replace its own."""
    splits = open_data(cub_root)
    assert {name: len(samples) for name, samples in splits.items()} == {
        "train": 270,
        "val": 30,
        "test": 243,
    }
    assert all(samples.has_boxes for samples in splits.values())
    file = tmp_path / "boxes.csv"
    file.write_text(
        f"image,class,x0,y0,x1,y1\n{splits['test'].ids[0]},{splits['test'].classes[0]},1,2,3,4\n"
    )
    boxes = open_data(cub_root, boxes=file)["test"].boxes
    assert boxes is not None
    assert boxes[0].tolist() == [[1, 2, 3, 4]]
    assert sum(map(len, boxes)) == 1


@pytest.mark.parametrize("name", ["labels.csv", "images.txt"])
def test_the_folder_above_a_data_set_of_another_layout_is_refused(
    tmp_path: Path, name: str
) -> None:
    """It would be a single class."""
    inner = tmp_path / "birds"
    (inner / "images").mkdir(parents=True)
    (inner / "images/a.jpg").touch()
    (inner / name).touch()
    with pytest.raises(DataError, match=r"'birds' .*use .*/birds"):
        open_data(tmp_path)
