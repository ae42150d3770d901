"""YOLO's label files: which image and class a line is of, and what is refused by file and line."""

from pathlib import Path

import pytest
import yaml
from globox import Annotation, AnnotationSet, BoundingBox

from wsol.data.annotations.types import BoxRow, ImageRow
from wsol.data.annotations.yolo import read_yolo_boxes
from wsol.errors import AnnotationError, DataError


def write(root: Path, files: dict[str, str]) -> Path:
    """Write files from their texts."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return root


def rows(path: Path) -> list[BoxRow]:
    """Return the boxes of all files."""
    return [row for row in read_yolo_boxes(path) if isinstance(row, BoxRow)]


NAMES = "names:\n  0: crow\n  1: wren\n"


def test_files_of_globox_come_back(tmp_path: Path) -> None:
    """In fractions of the image."""
    given = (3.0, 2.0, 30.0, 40.0)
    box = BoundingBox(label="wren", xmin=3, ymin=2, xmax=30, ymax=40)
    found = AnnotationSet([Annotation("a.jpg", (50, 40), [box])])
    found.save_yolo_v5(tmp_path / "labels", label_to_id={"crow": 0, "wren": 1})
    (row,) = rows(write(tmp_path, {"data.yaml": NAMES}))
    assert (row.class_name, row.line, row.path) == ("wren", 1, tmp_path / "labels/a.txt")
    assert row.in_pixels((50, 40)).box == pytest.approx(given)
    assert row.in_pixels((50, 40)).size == (50, 40)


@pytest.mark.parametrize(
    ("label", "image"),
    [
        ("labels/a.txt", "images/a"),
        ("labels/train/crow/a.b.txt", "images/train/crow/a.b"),
        ("train/labels/a.txt", "train/images/a"),
        ("labels/labels/a.txt", "labels/images/a"),
    ],
)
def test_labels_lie_in_folders_beside_images(tmp_path: Path, label: str, image: str) -> None:
    """The last folder `labels` stands for `images`, as for training readers."""
    root = write(tmp_path, {"data.yaml": NAMES, label: "0 0.5 0.5 1 1\n"})
    assert [row.image for row in rows(root)] == [(tmp_path / image).as_posix()]


def test_labels_lie_beside_images(tmp_path: Path) -> None:
    """As labelImg writes them, with the names of the classes."""
    root = write(tmp_path, {"classes.txt": "crow\nwren\n", "a.txt": "1 0.5 0.5 1 1\n"})
    (row,) = rows(root)
    assert (row.image, row.class_name) == ((tmp_path / "a").as_posix(), "wren")


def test_a_data_set_is_named_by_any_part_of_it(tmp_path: Path) -> None:
    """Its folder, its labels, its YAML file."""
    write(tmp_path, {"data.yaml": NAMES, "labels/a.txt": "1 0.5 0.5 1 1\n", "labels/b.txt": ""})
    expected = list(read_yolo_boxes(tmp_path))
    assert len(expected) == 3
    assert isinstance(expected[-1], ImageRow)
    for chunk in ("labels", "data.yaml"):
        assert list(read_yolo_boxes(tmp_path / chunk)) == expected


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("data.yaml", yaml.safe_dump({"nc": 2, "names": ["crow", "wr%0Aen"]})),
        ("data.yml", "names: {0: crow, 1: wr%0Aen}"),
        ("labels/classes.txt", "crow\r\nwr%0Aen\r\n"),
        ("obj.names", "crow\nwr%0Aen"),
    ],
)
def test_names_of_classes(tmp_path: Path, file: str, text: str) -> None:
    """From each of the files that have them, as wsol's own export escapes them."""
    root = write(tmp_path, {"labels/a.txt": "1 0.5 0.5 1 1", file: text.replace("wr%0Aen", "wren")})
    assert [row.class_name for row in rows(root)] == ["wren"]
    if file == "data.yaml":
        write(tmp_path, {file: text})
        assert [row.class_name for row in rows(root)] == ["wr\nen"]


def test_lines_of_boxes_scores_and_outlines(tmp_path: Path) -> None:
    """Of an outline the box that it fills."""
    lines = "0 0.5 0.5 0.5 0.25\n\n0 0.5 0.5 0.5 0.25 0.9\r\n1 0.1 0.2 0.5 0.2 0.3 0.8\n"
    found = rows(write(tmp_path, {"data.yaml": NAMES, "labels/a.txt": lines}))
    assert [row.box for row in found] == [
        (0.25, 0.375, 0.75, 0.625),
        (0.25, 0.375, 0.75, 0.625),
        (0.1, 0.2, 0.5, 0.8),
    ]
    assert [row.line for row in found] == [1, 3, 4]


@pytest.mark.parametrize(
    "bad",
    ["0 0.5 0.5 0.5", "0 0.5 0.5 0.5 half", "crow 0 0 1 1", "2 0.5 0.5 1 1", "0 1 2 3 4 5 6 7"],
)
def test_a_wrong_line_is_a_row_with_file_and_line(tmp_path: Path, bad: str) -> None:
    """The others are read."""
    lines = f"0 0.5 0.5 1 1\n{bad}\n1 0.5 0.5 1 1\n"
    found = list(read_yolo_boxes(write(tmp_path, {"data.yaml": NAMES, "labels/a.txt": lines})))
    (error,) = [row for row in found if isinstance(row, AnnotationError)]
    assert (error.path, error.line) == (tmp_path / "labels/a.txt", 2)
    assert len(found) == 4


@pytest.mark.parametrize(
    "text",
    ["names: 3", "- crow", "names: {a: crow}", "names: [", "!!python/object/apply:os.getcwd []"],
)
def test_names_that_cannot_be_read_are_refused(tmp_path: Path, text: str) -> None:
    """By their file."""
    root = write(tmp_path, {"data.yaml": text, "labels/a.txt": "0 0.5 0.5 1 1\n"})
    with pytest.raises(AnnotationError, match=r"data\.yaml"):
        list(read_yolo_boxes(root))


@pytest.mark.parametrize("files", [{"labels/a.txt": "0 0.5 0.5 1 1"}, {"data.yaml": NAMES}])
def test_what_is_no_data_set_is_refused(tmp_path: Path, files: dict[str, str]) -> None:
    """Labels without names, and names without labels."""
    with pytest.raises(DataError, match=str(tmp_path)):
        list(read_yolo_boxes(write(tmp_path, files)))
