"""Boxes with the sizes of their images, from CSV and COCO."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from wsol.data.annotations import BoxAnnotations, open_annotations
from wsol.errors import AnnotationError, DataError, ImageError

Write = Callable[[dict[str, str]], Path]
HEADER = "image,class,x0,y0,x1,y1"
SIZED = f"{HEADER},width,height\n"


def read(file: Path, images: Path | None = None) -> BoxAnnotations:
    """Open annotations that must be boxes."""
    annotations = open_annotations(file, images)
    assert isinstance(annotations, BoxAnnotations)
    return annotations


def csv_file(write: Write, rows: str, header: str = SIZED) -> Path:
    """Write a CSV file."""
    return write({"boxes.csv": header + rows}) / "boxes.csv"


def coco_file(write: Write, **changes: Any) -> Path:
    """Write a COCO file of two images, the second of which has no box."""
    content = {
        "images": [
            {"id": 7, "file_name": "crow/a.jpg", "width": 60, "height": 50},
            {"id": 8, "file_name": "crow/b.jpg", "width": 6, "height": 5},
        ],
        "categories": [{"id": 3, "name": "crow"}, {"id": 4, "name": "wren"}],
        "annotations": [{"id": 1, "image_id": 7, "category_id": 3, "bbox": [1, 2, 29, 38]}],
    }
    return write({"boxes.json": json.dumps(content | changes)}) / "boxes.json"


def image(folder: Path, name: str, size: tuple[int, int], turn: int = 1) -> None:
    """Write an image of a size, stored in an orientation."""
    exif = Image.Exif()
    exif[0x0112] = turn
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size).save(folder / name, exif=exif)


def test_rows_of_one_image_are_gathered(write: Write) -> None:
    """Images stand in the order in which they are first named, with their size."""
    rows = "b.jpg,wren,0,0,4,4,8,6\na.jpg,crow,1,2,3,4,60,50\nb.jpg,wren,1,1,8,6,8,6\n"
    found = read(csv_file(write, rows))
    assert found.ids == ("b.jpg", "a.jpg")
    assert found.classes == ("wren", "crow")
    assert [boxes.tolist() for boxes in found.boxes] == [
        [[0, 0, 4, 4], [1, 1, 8, 6]],
        [[1, 2, 3, 4]],
    ]
    assert [found.size(0), found.size(1)] == [(8, 6), (60, 50)]


@pytest.mark.parametrize(
    ("rows", "line", "reason"),
    [
        ("a.jpg,crow,0,0,9.5,5,8,6\n", 2, "ends outside the image of 8 x 6 pixels, at 9.5 5"),
        ("a.jpg,crow,0,0,8,7.5,8,6\n", 2, "ends outside the image"),
        ("a.jpg,crow,0,0,4,4,8,6\na.jpg,crow,0,0,5,5,9,6\n", 3, "another size than"),
        ("a.jpg,crow,0,0,4,4,8,6\na.jpg,wren,0,0,5,5,8,6\n", 3, "one class per image"),
        ("a.jpg,crow,0,0,4,4,8,6\na.jpg,crow,0,0,4,4,8,6\n", 3, "repeats"),
        ("a.jpg,crow,3,0,3,4,8,6\n", 2, "must be greater"),
        ("a.jpg,crow,0,0,4,4,8,six\n", 2, "six"),
        ("a.jpg,crow,0,0,4,4,0,6\n", 2, "cannot be 0 x 6"),
        ("a.jpg,crow,0,0,4,4,8\n", 2, "7 fields instead of 8"),
    ],
)
def test_a_wrong_row_is_named(write: Write, rows: str, line: int, reason: str) -> None:
    """File, line and reason; nothing is clipped."""
    with pytest.raises(AnnotationError, match=reason) as caught:
        read(csv_file(write, rows))
    assert caught.value.line == line


def test_sizes_come_from_the_images(write: Write, tmp_path: Path) -> None:
    """The image is found by the end of its path, and measured as it is displayed."""
    image(tmp_path / "photos", "test/crow/a.jpg", (60, 50), turn=6)
    image(tmp_path / "photos", "test/crow/b.png", (60, 50))
    rows = "crow/a.jpg,crow,1,2,50,60\nb.png,crow,1,2,60,50\n"
    found = read(csv_file(write, rows, HEADER + "\n"), tmp_path / "photos")
    assert [found.size(0), found.size(1)] == [(50, 60), (60, 50)]


def test_one_column_of_a_size_is_none(write: Write) -> None:
    """A column that is called width alone may be anything."""
    file = csv_file(write, "a.jpg,crow,0,0,4,4,odd\n", HEADER + ",width\n")
    with pytest.raises(DataError, match=r"size of 'a\.jpg' .*--images"):
        read(file)


def test_images_that_do_not_fit_are_refused(write: Write, tmp_path: Path) -> None:
    """No image, several, a smaller one, and one that is broken."""
    photos = tmp_path / "photos"
    file = csv_file(write, "a.jpg,crow,0,0,9,9\nb.jpg,crow,0,0,9,9\n", HEADER + "\n")
    image(photos, "x/b.jpg", (7, 9))
    with pytest.raises(DataError, match=r"boxes\.csv:2: .*'a\.jpg' in .*photos"):
        read(file, photos)
    image(photos, "x/a.jpg", (9, 9))
    image(photos, "y/a.jpg", (9, 9))
    with pytest.raises(DataError, match=r"boxes\.csv:2: 'a\.jpg' .*more than one"):
        read(file, photos)
    (photos / "y/a.jpg").unlink()
    with pytest.raises(AnnotationError, match="outside") as caught:
        read(file, photos)
    assert caught.value.line == 3
    found = open_annotations(file, photos, on_bad="skip")
    assert isinstance(found, BoxAnnotations)
    assert [found.has_ground_truth(index) for index in (0, 1)] == [True, False]
    assert found.size(0) == (9, 9)
    (photos / "x/a.jpg").write_bytes(b"no image")
    with pytest.raises(ImageError, match=r"a\.jpg"):
        open_annotations(file, photos, on_bad="skip").size(0)


def test_coco_has_images_without_boxes_too(write: Write) -> None:
    """Their class is not known, and they have no truth."""
    found = read(coco_file(write))
    assert (found.ids, found.classes) == (("crow/a.jpg", "crow/b.jpg"), ("crow", None))
    assert found.boxes[0].tolist() == [[1, 2, 30, 40]]
    assert (found.has_ground_truth(0), found.has_ground_truth(1), found.size(0)) == (
        True,
        False,
        (60, 50),
    )


def test_coco_without_sizes_needs_the_images_with_boxes_alone(write: Write, tmp_path: Path) -> None:
    """Of an image without boxes no image is looked for."""
    images = [{"id": 7, "file_name": "crow/a.jpg"}, {"id": 8, "file_name": "crow/b.jpg"}]
    image(tmp_path / "photos", "a.jpg", (60, 50))
    image(tmp_path / "photos", "crow/a.jpg", (70, 50))
    assert read(coco_file(write, images=images), tmp_path / "photos").size(0) == (70, 50)
    with pytest.raises(DataError, match="--images"):
        read(coco_file(write, images=images))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"annotations": []}, "no image has a box"),
        ({"images": [{"id": 7, "file_name": "a", "width": 9.5, "height": 9}]}, "must be integers"),
        ({"images": [{"id": 7, "file_name": "a", "width": 9}]}, "must be integers"),
        ({"images": [{"id": 7, "file_name": "a", "width": 0, "height": 9}]}, "cannot be 0 x 9"),
        ({"images": [{"id": 7, "file_name": "a", "width": 9, "height": 9}]}, "ends outside"),
        ({"images": [{"id": 7, "file_name": "a"}, {"id": 8, "file_name": "a"}]}, "occurs twice"),
        ({"images": [3]}, "needs the text 'file_name'"),
        ({"images": [{"id": 7, "file_name": ["a"]}]}, "needs the text 'file_name'"),
        (
            {
                "annotations": [
                    {"id": i, "image_id": 7, "category_id": i, "bbox": [1, 2, 3, i]} for i in (3, 4)
                ]
            },
            "annotation 4: class 'wren', but 'crow/a.jpg' has the class 'crow'",
        ),
    ],
)
def test_a_wrong_coco_file_is_refused(write: Write, changes: dict[str, Any], reason: str) -> None:
    """Which entry, and why."""
    with pytest.raises(DataError, match=reason):
        read(coco_file(write, **changes))


def test_links_to_images_outside_need_the_option(tmp_path: Path) -> None:
    """As `wsol predict --format yolo` makes them; the folder that they lead to has the sizes."""
    for folder in ("photos", "yolo/images", "yolo/labels"):
        (tmp_path / folder).mkdir(parents=True)
    Image.new("RGB", (50, 40)).save(tmp_path / "photos/a.png")
    (tmp_path / "yolo/images/a.png").symlink_to("../../photos/a.png")
    (tmp_path / "yolo/data.yaml").write_text("names: [crow]")
    (tmp_path / "yolo/labels/a.txt").write_text("0 0.5 0.5 0.2 0.5\n")
    with pytest.raises(AnnotationError, match=r"images/a'.*--images"):
        read(tmp_path / "yolo")
    found = read(tmp_path / "yolo", tmp_path / "photos")
    assert (found.size(0), found.boxes[0].tolist()) == ((50, 40), [[20, 10, 30, 30]])
