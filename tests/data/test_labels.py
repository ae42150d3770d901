"""Labels of images that are to be localized, by their folders and from files."""

import logging
import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsol.data.datasets.folders import read_folders
from wsol.data.datasets.label_table import read_labels
from wsol.data.labels import GivenLabels, file_labels, folder_labels, with_new_names
from wsol.errors import AnnotationError, ConfigError, DataError


@given(st.lists(st.lists(st.integers(0, 3), max_size=3)))
def test_labels_are_what_they_were_made_of(labels: list[list[int]]) -> None:
    """As a list has them, in slices and after a trip between processes too."""
    expected = [tuple(own) for own in labels]
    found = GivenLabels(tuple("abcd"), labels)
    assert list(found) == expected
    assert list(found[1:-1]) == expected[1:-1]
    assert [found[-1 - number] for number in range(len(found))] == expected[::-1]
    copy = pickle.loads(pickle.dumps(found))
    assert (list(copy), copy.digest()) == (expected, found.digest())
    assert found.digest() != GivenLabels(tuple("abce"), labels).digest()
    assert found.digest() != GivenLabels(tuple("abcd"), [*labels, []]).digest()
    with pytest.raises(IndexError):
        found[len(found)]


def test_the_digest_tells_images_apart() -> None:
    """The same numbers in another image are other labels."""
    one, other = GivenLabels(("a",), [[0], []]), GivenLabels(("a",), [[], [0]])
    assert one.digest() != other.digest()


def test_a_run_knows_the_classes_by_their_names() -> None:
    """Or is asked for the nearest."""
    labels = GivenLabels(("jay", "wren"), [(1,), (), (0, 1)])
    assert list(labels.numbered(("wren", "crow", "jay"))) == [(0,), (), (2, 0)]
    with pytest.raises(ConfigError, match=r"'jay'.*'jays'"):
        labels.numbered(("wren", "jays"))


@pytest.mark.parametrize(
    ("images", "split_folders"),
    [
        (["crow/a.jpg", "wren/deep/b.jpg", "c.jpg"], ()),
        (["Train/crow/a.jpg", "Train/wren/b.jpg", "test images/wren/c.jpg"], ()),
        (["Train/crow/a.jpg", "Train/wren/b.jpg", "Train/c.jpg"], ("train=Train",)),
        (["train/a.jpg", "wren/b.jpg"], ("none",)),
        (["train/a.jpg", "wren/b.jpg"], ()),
    ],
)
def test_folders_mean_what_they_mean_in_a_data_set(
    tmp_path: Path, images: list[str], split_folders: tuple[str, ...]
) -> None:
    """Each image has the class that reading the folder as a data set gives it."""
    for image in images:
        (tmp_path / image).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / image).touch()
    splits = read_folders(tmp_path, split_folders=split_folders)
    expected = {
        name: (samples.classes[label],)
        for samples in splits.values()
        for name, label in zip(samples.ids, samples.labels, strict=True)
    }
    found = folder_labels(tmp_path, images, split_folders)
    assert list(found) == [expected.get(image, ()) for image in images]


def test_folders_that_say_nothing_are_refused() -> None:
    """No class, or a split that may be one."""
    with pytest.raises(DataError, match="birds"):
        folder_labels(Path("birds"), ["a.jpg", "b.jpg"])
    with pytest.raises(DataError, match="--split_folders"):
        list(folder_labels(Path("birds"), ["train/crow/a.jpg", "wren/b.jpg"]))
    with pytest.raises(DataError, match="Set A"):
        list(folder_labels(Path("birds"), ["crow/b.jpg"], ("train=Set A",)))


def write(folder: Path, *rows: str) -> Path:
    """Write a file of labels."""
    file = folder / "labels.csv"
    file.write_text("\n".join(("image,label", *rows)), encoding="utf-8")
    return file


def test_a_file_names_the_images_as_in_a_data_set(tmp_path: Path) -> None:
    """Each image has the labels that reading the file as a data set gives it."""
    images = ["test/a.jpg", "train/b.jpg", "train/c.png"]
    for image in images:
        (tmp_path / image).parent.mkdir(exist_ok=True)
        (tmp_path / image).touch()
    rows = ("b.jpg,wren", "train/b.jpg,crow", "test/a.jpg, crow ", "c.png,crow", "c.png,crow")
    with pytest.raises(AnnotationError, match=r"labels\.csv:3"):
        file_labels(tmp_path, images, write(tmp_path, *rows))
    file = write(tmp_path, *rows[1:])
    expected = {
        name: tuple(samples.classes[label] for label in samples.labels_of(index))
        for samples in read_labels(tmp_path, file).values()
        for index, name in enumerate(samples.ids)
    }
    assert dict(zip(images, file_labels(tmp_path, images, file), strict=True)) == expected


def test_names_in_a_file_may_begin_above_the_folder(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Those of other splits are left out, even where file names are the same."""
    file = write(tmp_path, "train/a.jpg,crow", "test/a.jpg,wren", "test/b.jpg,jay", "train/c.jpg,x")
    with caplog.at_level(logging.INFO):
        found = file_labels(tmp_path / "test", ["a.jpg", "b.jpg", "c.jpg"], file)
    assert list(found) == [("wren",), ("jay",), ()]
    assert "left out 2 images" in caplog.text


@pytest.mark.parametrize(
    "name", ["/content/photos/crow/a.jpg", r"C:\photos\crow\a.jpg", "photos/crow/a.jpg", "crow/a"]
)
def test_names_of_other_machines_are_known(tmp_path: Path, name: str) -> None:
    """The longest end counts."""
    found = file_labels(tmp_path, ["crow/a.jpg", "jay/a.jpg"], write(tmp_path, f"{name},wren"))
    assert list(found) == [("wren",), ()]


def test_a_file_that_says_nothing_of_the_images_is_refused(tmp_path: Path) -> None:
    """Neither a name that fits several images nor a class without a name counts."""
    with pytest.raises(DataError, match=r"labels\.csv.*'b\.jpg'"):
        file_labels(tmp_path, ["a.jpg"], write(tmp_path, "b.jpg,wren"))
    with pytest.raises(AnnotationError, match=r"labels\.csv:2"):
        file_labels(tmp_path, ["x/a.jpg", "y/a.jpg"], write(tmp_path, "a.jpg,wren"))
    with pytest.raises(AnnotationError, match=r"labels\.csv:2"):
        file_labels(tmp_path, ["a.jpg"], write(tmp_path, "a.jpg,"))
    for path in (tmp_path / "no.csv", tmp_path / "labels.txt"):
        with pytest.raises(DataError, match=path.name):
            file_labels(tmp_path, ["a.jpg"], path)


def test_classes_get_new_names(caplog: pytest.LogCaptureFixture) -> None:
    """Merged ones count once; a new name is no old one; a name that is in no label is told."""
    names = {"a": "b", "b": "c", "d": None, "aa": "x"}
    labels = [("a", "b"), ("d",), ("d", "e"), (), ("a", "a")]
    assert list(with_new_names(labels, names)) == [("b", "c"), None, ("e",), (), ("b",)]
    assert "'aa'" in caplog.text
