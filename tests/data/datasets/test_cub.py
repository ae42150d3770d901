"""CUB-200-2011's layout, whole or in part."""

import logging
from pathlib import Path

import numpy as np
import pytest

from wsol.data.datasets.cub import is_cub, read_cub
from wsol.errors import AnnotationError, DataError

FILES = {
    "images.txt": "1 a.Auk/1.jpg\n2 a.Auk/2 x.jpg\n3 b.Bee/3.jpg\n4 c.Coot/4.jpg\n5 c.Coot/5.jpg\n",
    "classes.txt": "1 a.Auk\n2 b.Bee\n3 c.Coot\n4 d.Dove\n",
    "image_class_labels.txt": "1 1\n2 1\n3 2\n4 3\n5 3\n6 4\n",
    "train_test_split.txt": "1 1\n2 0\n3 1\n4 1\n5 0\n6 0\n",
    "bounding_boxes.txt": "".join(f"{i} {i}.0 2.5 10.0 20.0\n" for i in range(1, 6)),
}


def make(root: Path, **changes: str) -> Path:
    """Write a small CUB in which image 3 is missing."""
    for name in ("a.Auk/1.jpg", "a.Auk/2 x.jpg", "c.Coot/4.jpg", "c.Coot/5.jpg"):
        (root / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "images" / name).touch()
    for name, text in FILES.items():
        (root / name).write_text(changes.get(name.removesuffix(".txt"), text))
    return root


def test_missing_images_and_classes_are_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Missing images and classes are left out."""
    with caplog.at_level(logging.WARNING, logger="wsol"):
        splits = read_cub(make(tmp_path))
    assert [store.getMessage() for store in caplog.records] == [
        f"{tmp_path / 'images'}: 1 listed images are missing"
    ]
    train, test = splits["train"], splits["test"]
    assert train.root == tmp_path / "images"
    assert train.classes == test.classes == ("a.Auk", "c.Coot")
    assert (train.ids, train.labels.tolist()) == (("a.Auk/1.jpg", "c.Coot/4.jpg"), [0, 1])
    assert (test.ids, test.labels.tolist()) == (("a.Auk/2 x.jpg", "c.Coot/5.jpg"), [0, 1])
    assert [box.tolist() for box in test.boxes or ()] == [
        [[2, 2.5, 12, 22.5]],
        [[5, 2.5, 15, 22.5]],
    ]


def test_a_complete_copy_logs_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A complete copy logs nothing."""
    make(tmp_path)
    (tmp_path / "images/b.Bee").mkdir()
    (tmp_path / "images/b.Bee/3.jpg").touch()
    assert len(read_cub(tmp_path)["train"]) == 3
    assert not caplog.records


def test_a_split_without_images_is_left_out(tmp_path: Path) -> None:
    """A split without images is left out."""
    make(tmp_path, train_test_split="".join(f"{i} 0\n" for i in range(1, 7)))
    assert list(read_cub(tmp_path)) == ["test"]


def test_windows_line_ends_and_marks(tmp_path: Path) -> None:
    """Windows line ends and byte order marks are tolerated."""
    make(tmp_path)
    for name, text in FILES.items():
        (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    assert read_cub(tmp_path)["train"].classes == ("a.Auk", "c.Coot")


@pytest.mark.parametrize(
    ("file", "text", "line"),
    [
        ("images", "1 a.Auk/1.jpg\n2\n", 2),
        ("images", "x a.Auk/1.jpg\n", 1),
        ("images", "1 a.Auk/1.jpg\n1 a.Auk/1.jpg\n", 2),
        ("image_class_labels", "1 1\n\n2 one\n", 3),
        ("image_class_labels", "1 1\n", None),
        ("train_test_split", "1 2\n", 1),
        ("train_test_split", "1 1\n", None),
        ("bounding_boxes", "1 1.0 2.0 3.0\n", 1),
        ("bounding_boxes", "1 1.0 2.0 3.0 4.0\n2 1.0 2.0 -3.0 4.0\n", 2),
        ("bounding_boxes", "1 1.0 2.0 nan 4.0\n", 1),
        ("bounding_boxes", "1 -2.0 2.0 4.0 4.0\n", 1),
        ("bounding_boxes", "1 1.0 2.0 3.0 4.0\n", None),
        ("classes", "1 a.Auk\n", None),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, file: str, text: str, line: int | None) -> None:
    """A bad line is named."""
    with pytest.raises(AnnotationError) as caught:
        read_cub(make(tmp_path, **{file: text}))
    assert (caught.value.path, caught.value.line) == (tmp_path / f"{file}.txt", line)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """A missing file is named."""
    make(tmp_path)
    (tmp_path / "classes.txt").unlink()
    with pytest.raises(DataError, match=r"classes\.txt: No such file"):
        read_cub(tmp_path)


def test_no_image_at_all(tmp_path: Path) -> None:
    """A copy without any listed image is refused."""
    with pytest.raises(DataError, match="none of the images"):
        read_cub(make(tmp_path, images="1 d.Dove/9.jpg\n"))


def test_a_listed_path_cannot_leave_the_images(tmp_path: Path) -> None:
    """A listed path cannot leave the images."""
    (tmp_path / "secret.jpg").touch()
    make(tmp_path / "cub", images="1 ../../secret.jpg\n2 a.Auk/2 x.jpg\n")
    assert list(read_cub(tmp_path / "cub")) == ["test"]


def test_linked_images_need_asking(tmp_path: Path) -> None:
    """Linked images need asking."""
    make(tmp_path / "cub")
    (tmp_path / "cub/images").rename(tmp_path / "far")
    (tmp_path / "cub/images").symlink_to(tmp_path / "far")
    with pytest.raises(DataError, match="none of the images"):
        read_cub(tmp_path / "cub")
    assert len(read_cub(tmp_path / "cub", follow_links=True)["train"]) == 2


def test_is_cub(tmp_path: Path) -> None:
    """The layout is told by images.txt and images/."""
    assert not is_cub(tmp_path)
    assert is_cub(make(tmp_path))


def test_the_real_part(cub_root: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The real ten classes agree with the files they come from."""
    assert is_cub(cub_root)
    splits = read_cub(cub_root)
    assert {name: len(samples) for name, samples in splits.items()} == {"train": 300, "test": 243}
    assert not caplog.records
    for samples in splits.values():
        assert len(samples.classes) == 10
        assert set(samples.labels) == set(range(10))
        folders = [name.split("/")[0] for name in samples.ids]
        assert folders == [samples.classes[label] for label in samples.labels]
        assert all(samples.path(i).is_file() for i in range(len(samples)))
    boxes = np.concatenate([box for samples in splits.values() for box in samples.boxes or ()])
    listed = np.loadtxt(cub_root / "bounding_boxes.txt")[:, 1:]
    assert boxes[:, :2].sum() == pytest.approx(listed[:, :2].sum())
    assert (boxes[:, 2:] - boxes[:, :2]).sum() == pytest.approx(listed[:, 2:].sum())
    first = "001.Black_footed_Albatross/Black_Footed_Albatross_0009_34.jpg"
    train = splits["train"]
    assert train.boxes is not None
    assert train.boxes[train.ids.index(first)].tolist() == [[139, 30, 292, 294]]
