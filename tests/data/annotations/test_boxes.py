"""A box is read as it stands or refused with its place; never clipped, never lost."""

import csv
import json
import logging
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wsol.data.annotations.boxes import read_boxes, with_boxes
from wsol.data.samples import Samples
from wsol.errors import AnnotationError, DataError

IDS = ["train/cat/1.jpg", "train/dog/1.jpg", "test/cat/2.jpg"]
CLASSES = ["cat", "dog", "cat"]
HEADER = "image,class,x0,y0,x1,y1\n"
GOOD = "cat/1.jpg,cat,1,2,30.5,40\n"


def csv_file(folder: Path, text: str) -> Path:
    """Write a CSV file of boxes."""
    file = folder / "boxes.csv"
    file.write_text(text, encoding="utf-8", newline="")
    return file


def coco_file(folder: Path, *annotations: Any, **lists: Any) -> Path:
    """Write a COCO file with the images of `IDS`."""
    content = {
        "images": [{"id": 10 + i, "file_name": name} for i, name in enumerate(IDS)],
        "categories": [{"id": 5, "name": "cat"}, {"id": 6, "name": "dog"}],
        "annotations": list(annotations),
        **lists,
    }
    file = folder / "boxes.json"
    file.write_text(json.dumps(content))
    return file


def coco(identity: int = 1, **changes: Any) -> dict[str, Any]:
    """Return a COCO annotation that equals the row `GOOD`, but for the changes."""
    good = {"id": identity, "image_id": 10, "category_id": 5, "bbox": [1, 2, 29.5, 38]}
    return good | changes


def test_csv_rows_reach_their_images_in_order(tmp_path: Path) -> None:
    """CSV rows reach their images in order."""
    rows = "test/cat/2.jpg,cat,5,5,6,6\n" + GOOD + "2.jpg,cat,0,0,3,3\n"
    boxes = read_boxes(csv_file(tmp_path, HEADER + rows), IDS, CLASSES)
    assert [box.tolist() for box in boxes] == [
        [[1, 2, 30.5, 40]],
        [],
        [[5, 5, 6, 6], [0, 0, 3, 3]],
    ]
    assert [(box.shape, box.dtype) for box in boxes] == [
        ((n, 4), np.dtype(np.float64)) for n in (1, 0, 2)
    ]


def test_coco_equals_csv(tmp_path: Path) -> None:
    """COCO equals CSV."""
    second = coco(2, image_id=12, bbox=[5, 5, 1, 1])
    crowd = coco(3, iscrowd=1, bbox="run-length")
    from_coco = read_boxes(coco_file(tmp_path, coco(iscrowd=0), second, crowd), IDS, CLASSES)
    from_csv = read_boxes(csv_file(tmp_path, HEADER + GOOD + "2.jpg,cat,5,5,6,6\n"), IDS, CLASSES)
    assert all(map(np.array_equal, from_coco, from_csv))


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbf" + (HEADER + GOOD).encode(),
        (HEADER + GOOD).replace("\n", "\r\n").encode(),
        (HEADER + "\n" + GOOD + "\n\n").encode(),
        b'\xef\xbb\xbf"image","class","x0","y0","x1","y1"\r\n"cat/1.jpg","cat","1","2","30.5","40"',
        b"score,y1,x1,y0,x0,class,image\n0.9,40,30.5,2,1,cat,cat/1.jpg\n",
        b"image, class, x0, y0, x1, y1\ncat/1.jpg,cat, 1, 2, 3.05e1, 40\n",
    ],
)
def test_csv_dialects(tmp_path: Path, data: bytes) -> None:
    """Marks, line ends, blank lines, quotes, column order and extra columns are tolerated."""
    file = tmp_path / "boxes.CSV"
    file.write_bytes(data)
    assert read_boxes(file, IDS, CLASSES)[0].tolist() == [[1, 2, 30.5, 40]]


def test_odd_names_match(tmp_path: Path) -> None:
    """Names with commas, quotes, line breaks or invalid UTF-8 match their image."""
    ids = ["a,b.jpg", "line\nbreak.jpg", "日本.jpg", "\udcff.jpg", 'quo"te.jpg']
    file = tmp_path / "boxes.csv"
    with file.open("w", encoding="utf-8", errors="surrogateescape", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(HEADER.strip().split(","))
        writer.writerows([name, "cat", i, 0, i + 1, 1] for i, name in enumerate(ids))
    boxes = read_boxes(file, ids, ["cat"] * len(ids))
    assert [box[0, 0] for box in boxes] == [0, 1, 2, 3, 4]


def test_the_line_of_an_error_counts_lines_inside_quotes(tmp_path: Path) -> None:
    """The line of an error counts lines inside quotes."""
    file = csv_file(tmp_path, HEADER + '"line\nbreak.jpg",cat,0,0,1,1\n' + "lost.jpg,cat,0,0,1,1\n")
    with pytest.raises(AnnotationError) as caught:
        read_boxes(file, ["line\nbreak.jpg"], ["cat"])
    assert caught.value.line == 4


def test_an_exact_id_is_preferred_to_an_end(tmp_path: Path) -> None:
    """An exact id is preferred to an end."""
    ids = ["a/1.jpg", "1.jpg", "b/1.jpg"]
    boxes = read_boxes(csv_file(tmp_path, HEADER + "1.jpg,cat,0,0,1,1\n"), ids, ["cat"] * 3)
    assert list(map(len, boxes)) == [0, 1, 0]


BAD_CSV = {
    "1.jpg,cat,0,0,1,1": "'1.jpg' matches more than one image",
    "at/1.jpg,cat,0,0,1,1": "no image 'at/1.jpg'.* mean 'train/cat/1.jpg'",
    "lost.jpg,cat,0,0,1,1": "no image 'lost.jpg'$",
    "cat/1.jpg,dog,0,0,1,1": "class 'dog', but the image is of class 'cat'",
    "cat/1.jpg,cat,nan,0,1,1": "not finite",
    "cat/1.jpg,cat,0,0,inf,1": "not finite",
    "cat/1.jpg,cat,-2,0,1,1": "begins outside the image, at -2 0",
    "cat/1.jpg,cat,0,-1.5,1,1": "begins outside the image, at 0 -1.5",
    "cat/1.jpg,cat,5,0,1,1": r"x1 \(1\) must be greater than x0 \(5\)",
    "cat/1.jpg,cat,0,5,1,1": r"y1 \(1\) must be greater than y0 \(5\)",
    "cat/1.jpg,cat,3,0,3,1": "x1",
    "cat/1.jpg,cat,zero,0,1,1": "zero",
    "cat/1.jpg,cat,,0,1,1": "could not convert",
    "cat/1.jpg,cat,0,0,1": "5 fields instead of 6",
    "cat/1.jpg,cat,0,0,1,1,9": "7 fields instead of 6",
    '"cat/1.jpg"x,cat,0,0,1,1': "expected after",
    "cat/1.jpg,cat,1.0,2,30.5,40": "repeats an earlier box",
}


@pytest.mark.parametrize("row", BAD_CSV)
def test_a_bad_csv_row_fails_with_its_line_or_is_skipped(
    tmp_path: Path, row: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A bad CSV row fails with its line or is skipped."""
    last = "dog/1.jpg,dog,7,7,8,8\n"
    file = csv_file(tmp_path, HEADER + GOOD + row + "\n" + last)
    with pytest.raises(AnnotationError, match=BAD_CSV[row]) as caught:
        read_boxes(file, IDS, CLASSES)
    assert (caught.value.path, caught.value.line) == (file, 3)
    with caplog.at_level(logging.WARNING, logger="wsol"):
        boxes = read_boxes(file, IDS, CLASSES, on_bad="skip")
    assert [store.getMessage() for store in caplog.records] == [f"{caught.value} (row skipped)"]
    assert [box.tolist() for box in boxes] == [[[1, 2, 30.5, 40]], [[7, 7, 8, 8]], []]


BAD_COCO = [
    (coco(2, image_id=99), "annotation 2: image_id 99"),
    (coco(2, image_id=[10]), "annotation 2: image_id"),
    (coco(2, category_id=99), "annotation 2: category_id 99"),
    (coco(2, category_id=6), "annotation 2: class 'dog', but"),
    (coco(2, bbox=[1, 2, 3]), "annotation 2: bbox must be four numbers"),
    (coco(2, bbox=["1", 2, 3, 4]), "annotation 2: bbox must be four numbers"),
    (coco(2, bbox=[True, 2, 3, 4]), "annotation 2: bbox must be four numbers"),
    (coco(2, bbox=[10**400, 2, 3, 4]), "annotation 2: bbox must be four numbers"),
    (coco(2, bbox=None), "annotation 2: bbox must be four numbers"),
    (coco(2, bbox=[math.nan, 2, 3, 4]), "annotation 2: .* not finite"),
    (coco(2, bbox=[1e308, 2, 1e308, 4]), "annotation 2: .* not finite"),
    (coco(2, bbox=[1, 2, -3, 4]), "annotation 2: x1"),
    (coco(2, bbox=[1, 2, 3, 0]), "annotation 2: y1"),
    (coco(2, bbox=[-2, 2, 4, 4]), "annotation 2: the box begins outside"),
    (coco(2), "annotation 2: repeats an earlier box"),
    (coco(1, bbox=[0, 0, 1, 1]), "annotation 1 occurs twice"),
    ("text", r"annotations\[1\] is not an object"),
    ({"image_id": 10, "category_id": 5, "bbox": [0, 0, 1, 1]}, r"annotations\[1\] needs"),
]


@pytest.mark.parametrize(("bad", "reason"), BAD_COCO)
def test_a_bad_coco_annotation_fails_by_name_or_is_skipped(
    tmp_path: Path, bad: Any, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A bad COCO annotation fails by name or is skipped."""
    last = coco(3, image_id=11, category_id=6, bbox=[7, 7, 1, 1])
    file = coco_file(tmp_path, coco(), bad, last)
    with pytest.raises(AnnotationError, match=reason) as caught:
        read_boxes(file, IDS, CLASSES)
    assert caught.value.path == file
    with caplog.at_level(logging.WARNING, logger="wsol"):
        boxes = read_boxes(file, IDS, CLASSES, on_bad="skip")
    assert len(caplog.records) == 1
    assert [box.tolist() for box in boxes] == [[[1, 2, 30.5, 40]], [[7, 7, 8, 8]], []]


@pytest.mark.parametrize(
    ("lists", "reason"),
    [
        ({"images": [{"id": 10}]}, r"images\[0\]: needs the text 'file_name'"),
        ({"images": [{"id": None, "file_name": "a"}]}, r"images\[0\]: needs a number"),
        ({"categories": [{"id": 5, "name": "cat"}] * 2}, r"categories\[1\]: id 5 occurs twice"),
        ({"categories": ["cat"]}, r"categories\[0\]"),
    ],
)
def test_bad_coco_lists(tmp_path: Path, lists: dict[str, Any], reason: str) -> None:
    """A bad image or category is named by its place."""
    with pytest.raises(AnnotationError, match=reason):
        read_boxes(coco_file(tmp_path, coco(), **lists), IDS, CLASSES)


@pytest.mark.parametrize("on_bad", ["fail", "skip"])
@pytest.mark.parametrize(
    ("name", "data", "line"),
    [
        ("boxes.csv", b"", 1),
        ("boxes.csv", GOOD.encode(), 1),
        ("boxes.csv", b"image,class,x0,y0,x1\n", 1),
        ("boxes.csv", b"image,class,x0,y0,x1,y1,x0\n", 1),
        ("boxes.csv", b'"image', 1),
        ("boxes.csv", HEADER.encode("utf-16"), 1),
        ("boxes.json", b"", 1),
        # Not a trailing comma, whose line Python 3.13 tells otherwise than 3.12.
        ("boxes.json", b'{\n"images": [],\n"annotations" []}', 3),
        ("boxes.json", b"[]", None),
        ("boxes.json", b'{"images": [], "annotations": []}', None),
        ("boxes.json", b"\xff\xfe\xfd", None),
        ("boxes.json", b"[" * 100_000, None),
        ("boxes.json", b"9" * 10_000, None),
    ],
)
def test_a_file_that_is_wrong_as_a_whole_fails_always(
    tmp_path: Path, name: str, data: bytes, line: int | None, on_bad: Any
) -> None:
    """A file that is wrong as a whole fails always."""
    (tmp_path / name).write_bytes(data)
    with pytest.raises(AnnotationError) as caught:
        read_boxes(tmp_path / name, IDS, CLASSES, on_bad)
    assert caught.value.line == line


def test_a_file_that_is_none(tmp_path: Path) -> None:
    """A missing file and an unknown suffix are refused."""
    with pytest.raises(DataError, match="no such file"):
        read_boxes(tmp_path / "boxes.csv", IDS, CLASSES)
    (tmp_path / "boxes.txt").touch()
    with pytest.raises(DataError, match=r"boxes\.txt: .*\.csv"):
        read_boxes(tmp_path / "boxes.txt", IDS, CLASSES)


ANY_ROW = st.lists(
    st.one_of(
        st.sampled_from([*IDS, "1.jpg", "cat", "dog", "nan", "-inf", "1e999", "", '"', "\x00"]),
        st.floats().map(repr),
        st.text(max_size=5),
    ),
    max_size=8,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.lists(ANY_ROW, max_size=6))
def test_any_rows_give_sound_boxes_or_annotation_errors(
    tmp_path: Path, rows: list[list[str]]
) -> None:
    """Any rows give sound boxes or annotation errors."""
    body = "\n".join(",".join(row) for row in rows)
    file = tmp_path / "boxes.csv"
    file.write_text(HEADER + body, encoding="utf-8", errors="replace", newline="")
    for box in np.concatenate(read_boxes(file, IDS, CLASSES, on_bad="skip")):
        assert np.isfinite(box).all()
        assert -1 <= box[0] < box[2]
        assert -1 <= box[1] < box[3]


COORDINATE = st.floats(0, 1e4, allow_nan=False)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
@given(st.sets(st.tuples(COORDINATE, COORDINATE, COORDINATE, COORDINATE), max_size=6))
def test_good_boxes_come_back_bit_for_bit(
    tmp_path: Path, corners: set[tuple[float, float, float, float]]
) -> None:
    """Good boxes come back bit for bit."""
    boxes = [(x, y, x + w + 1, y + h + 1) for x, y, w, h in corners]
    boxes = list(dict.fromkeys(boxes))
    rows = "".join(f"cat/1.jpg,cat,{','.join(map(repr, box))}\n" for box in boxes)
    read = read_boxes(csv_file(tmp_path, HEADER + rows), IDS, CLASSES)[0]
    assert list(map(tuple, read.tolist())) == boxes


def test_one_file_serves_all_splits(tmp_path: Path) -> None:
    """One file serves all splits."""
    splits = {
        "train": Samples(tmp_path, tuple(IDS[:2]), np.array([0, 1]), ("cat", "dog")),
        "test": Samples(tmp_path, tuple(IDS[2:]), np.array([0]), ("cat", "dog")),
    }
    rows = "dog/1.jpg,dog,1,1,2,2\n2.jpg,cat,3,3,4,4\n"
    boxed = with_boxes(splits, csv_file(tmp_path, HEADER + rows))
    assert [box.tolist() for box in boxed["train"].boxes or ()] == [[], [[1, 1, 2, 2]]]
    assert [box.tolist() for box in boxed["test"].boxes or ()] == [[[3, 3, 4, 4]]]
    assert not splits["train"].has_boxes
