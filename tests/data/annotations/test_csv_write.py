"""Boxes of every format reach the images of a data set, and wsol's own exports come back."""

import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wsol.data.annotations import BoxAnnotations, open_annotations
from wsol.data.annotations.boxes import find_boxes, with_boxes
from wsol.data.annotations.csv import read_box_file
from wsol.data.images import read_image_size
from wsol.data.samples import Samples
from wsol.errors import AnnotationError, DataError, ImageError
from wsol.formats import PredictionInfo, create_writer
from wsol.results.localization import Localization

CLASSES = ("crow", "wr\nen")
SIZES = {"crow/a.jpg": (50, 40), "crow/b.png": (30, 31), "wren/=c 1.jpg": (64, 33)}


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Return a folder with images of `SIZES`."""
    folder = tmp_path / "photos"
    for name, size in SIZES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size).save(folder / name)
    return folder


def samples(images: Path) -> Samples:
    """Return them as one split."""
    return Samples(images, tuple(SIZES), np.array([0, 0, 1]), CLASSES)


def boxes_of(images: Path, path: Path) -> list[list[list[float]]]:
    """Return the boxes of each image from a file."""
    found = with_boxes({"test": samples(images)}, path)["test"].boxes
    assert found is not None
    return [boxes.tolist() for boxes in found]


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("coco", "annotations.json"),
        ("csv", "predictions.csv"),
        ("voc", "voc"),
        ("voc", "voc/Annotations"),
        ("yolo", "yolo"),
        ("yolo", "yolo/data.yaml"),
    ],
)
def test_own_exports_are_ground_truth(images: Path, tmp_path: Path, name: str, file: str) -> None:
    """Equal boxes, of a data set and for score maps; images without boxes and in error too."""
    writer = create_writer(name, tmp_path, PredictionInfo(CLASSES, images, 0.2))
    given = []
    for label, (image, (width, height)) in zip((0, 0, 1), SIZES.items(), strict=True):
        boxes = np.array([[0, 0, width, height], [1.25, 2, 20.5, 30]])
        if image.endswith(".png"):
            boxes = np.zeros((0, 4))
        given.append(boxes.tolist())
        heat_map = np.ones((4, 4), np.float32)
        scores, labels = np.full(len(boxes), 0.5), np.full(len(boxes), label)
        writer.add(
            Localization(
                image,
                (width, height),
                boxes=boxes,
                box_scores=scores,
                box_labels=labels,
                heat_map=heat_map,
            )
        )
    writer.add(Localization("bad.jpg", error=ImageError("bad.jpg", "the file is empty")))
    writer.close()
    found = boxes_of(images, tmp_path / file)
    for boxes, expected in zip(found, given, strict=True):
        np.testing.assert_allclose(boxes, expected, atol=1e-5)
    annotations = open_annotations(tmp_path / file, images)
    assert isinstance(annotations, BoxAnnotations)
    measured = {
        each: (boxes, annotations.size(index) if len(boxes) else None)
        for index, (each, boxes) in enumerate(zip(annotations.ids, annotations.boxes, strict=True))
        if each != "bad.jpg"
    }
    assert set(measured) == set(SIZES)
    for (each, size), expected in zip(SIZES.items(), given, strict=True):
        np.testing.assert_allclose(measured[each][0].reshape(-1, 4), np.reshape(expected, (-1, 4)))
        assert measured[each][1] == (size if expected else None)


@pytest.mark.parametrize(
    "text",
    [
        "filename,width,height,class,xmin,ymin,xmax,ymax\na.jpg,50,40,crow,1,2,30,40\n",
        "Filename,Class,XMin,YMin,XMax,YMax\na.jpg,crow,1,2,30,40\n",
        "image_path,label,x1,y1,x2,y2\n/content/photos/crow/a.jpg,crow,1,2,30,40\n",
        "file_name,class_name,x_min,y_min,x_max,y_max\nC:\\photos\\crow\\a.jpg,crow,1,2,30,40\n",
        "image,class,x0,y0,x1,y1,width,height\na.jpg,crow,1,2,30,40,any,thing\n",
        "image,class,x0,y0,x1,y1\na.png,crow,1,2,30,40\nb.png,,,,,\n",
    ],
)
def test_usual_headers_and_paths_of_csv(images: Path, tmp_path: Path, text: str) -> None:
    """As other programs and machines write them; a row may say that an image has no box."""
    (tmp_path / "boxes.csv").write_text(text)
    assert boxes_of(images, tmp_path / "boxes.csv")[0] == [[1, 2, 30, 40]]


@pytest.mark.parametrize(
    ("row", "line"),
    [
        ("a.jpg,crow,1,2,52,40", 2),
        ("a.jpg,crow,81,88,9522,9408", 2),
        ("b.png,crow,1,2,30,33", 2),
        ("a.jpg,crow,0.1,0.2,0.6,0.9", 2),
    ],
)
def test_boxes_outside_the_image_are_bad_rows(
    images: Path, tmp_path: Path, row: str, line: int, caplog: pytest.LogCaptureFixture
) -> None:
    """By file and line, from the header of the image; and so are fractions."""
    file = tmp_path / "boxes.csv"
    file.write_text(f"image,class,x0,y0,x1,y1\n{row}\na.jpg,crow,1,2,3,4\n")
    with pytest.raises(AnnotationError) as caught:
        boxes_of(images, file)
    assert (caught.value.path, caught.value.line) == (file, line)
    with caplog.at_level(logging.WARNING, logger="wsol"):
        found = with_boxes({"test": samples(images)}, file, "skip")["test"].boxes
    assert found is not None
    assert [len(boxes) for boxes in found] == [1, 0, 0]
    assert [store.getMessage() for store in caplog.records] == [f"{caught.value} (row skipped)"]


def test_a_box_within_a_pixel_of_the_image_is_kept_as_it_is(images: Path, tmp_path: Path) -> None:
    """It is not clipped."""
    file = tmp_path / "boxes.csv"
    file.write_text("image,class,x0,y0,x1,y1\na.jpg,crow,-1,-0.5,51,40.5\n")
    assert boxes_of(images, file)[0] == [[-1, -0.5, 51, 40.5]]


def test_boxes_are_checked_in_the_displayed_frame(images: Path, tmp_path: Path) -> None:
    """Also where a PNG says only behind its pixels how it lies."""
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (50, 40)).save(images / "crow/a.jpg", exif=exif)
    Image.new("RGB", (30, 60)).save(images / "crow/b.png", exif=exif)
    file = tmp_path / "boxes.csv"
    file.write_text("image,class,x0,y0,x1,y1\na.jpg,crow,1,2,40,50\nb.png,crow,1,2,60,30\n")
    assert boxes_of(images, file)[:2] == [[[1, 2, 40, 50]], [[1, 2, 60, 30]]]
    file.write_text("image,class,x0,y0,x1,y1\na.jpg,crow,1,2,50,40\n")
    with pytest.raises(AnnotationError):
        boxes_of(images, file)


def test_an_image_that_cannot_be_read_keeps_its_boxes(images: Path, tmp_path: Path) -> None:
    """So that it counts as wrong, in every format."""
    (images / "crow/a.jpg").write_bytes(b"no image")
    file = tmp_path / "boxes.csv"
    file.write_text("image,class,x0,y0,x1,y1\na.jpg,crow,1,2,3000,40\n")
    assert len(boxes_of(images, file)[0]) == 1
    (tmp_path / "yolo/labels").mkdir(parents=True)
    (tmp_path / "yolo/classes.txt").write_text("crow\n")
    (tmp_path / "yolo/labels/a.txt").write_text("0 0.5 0.5 1 1\n")
    assert len(boxes_of(images, tmp_path / "yolo")[0]) == 1


def test_sizes_of_other_images_are_told(
    images: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """In one line: boxes of images before they were resized are wrong."""
    file = tmp_path / "boxes.csv"
    rows = "a.jpg,100,80,crow,1,2,30,40\nb.png,60,62,crow,1,2,30,31\n"
    file.write_text("filename,width,height,class,xmin,ymin,xmax,ymax\n" + rows)
    with caplog.at_level(logging.WARNING, logger="wsol"):
        boxes_of(images, file)
    (store,) = caplog.records
    for chunk in (f"{file}:2: ", "(100, 80)", "(50, 40)", "2 images"):
        assert chunk in store.getMessage()


def test_rows_of_unknown_images_are_told_in_one_line(
    images: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """How many, and which."""
    file = tmp_path / "boxes.csv"
    rows = [f"lost{number // 2}.jpg,crow,1,2,3,4" for number in range(20)]
    file.write_text("\n".join(["image,class,x0,y0,x1,y1", "a.jpg,crow,1,2,3,4", *rows]))
    with pytest.raises(AnnotationError) as caught:
        boxes_of(images, file)
    assert caught.value.line == 3
    for chunk in ("20 rows", "10 unknown", "'lost0.jpg'", "'lost2.jpg'"):
        assert chunk in str(caught.value)
    assert "lost9" not in str(caught.value)
    with caplog.at_level(logging.WARNING, logger="wsol"):
        with_boxes({"test": samples(images)}, file, "skip")
    assert [store.getMessage() for store in caplog.records] == [f"{caught.value} (rows skipped)"]


def test_two_names_of_other_machines_for_one_image_are_refused(
    images: Path, tmp_path: Path
) -> None:
    """One of them is the name of another image."""
    file = tmp_path / "boxes.csv"
    rows = "/x/crow/a.jpg,crow,1,2,3,4\n/x/jay/a.jpg,crow,1,2,3,5\n"
    file.write_text("image,class,x0,y0,x1,y1\n" + rows)
    with pytest.raises(AnnotationError) as caught:
        boxes_of(images, file)
    assert caught.value.line == 3


def test_labels_of_yolo_without_an_image_are_refused_for_score_maps(tmp_path: Path) -> None:
    """As their sizes come from images."""
    (tmp_path / "labels").mkdir()
    (tmp_path / "images").mkdir()
    Image.new("RGB", (8, 6)).save(tmp_path / "images/b.png")
    (tmp_path / "classes.txt").write_text("crow\n")
    (tmp_path / "labels/a.txt").write_text("0 0.5 0.5 1 1\n")
    (tmp_path / "labels/b.txt").write_text("0 0.5 0.5 1 1\n")
    with pytest.raises(AnnotationError, match=r"images/a'"):
        open_annotations(tmp_path)
    found = open_annotations(tmp_path, on_bad="skip")
    assert isinstance(found, BoxAnnotations)
    assert (found.ids, found.size(0), found.boxes[0].tolist()) == (
        ("b.png",),
        (8, 6),
        [[0, 0, 8, 6]],
    )


def test_folders_of_other_formats_are_named_and_not_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Beside the data, where boxes.csv is looked for."""
    assert find_boxes(tmp_path) is None
    (tmp_path / "Annotations").mkdir()
    with caplog.at_level(logging.INFO, logger="wsol"):
        assert find_boxes(tmp_path) is None
        assert not caplog.records
        (tmp_path / "Annotations/a.xml").write_text("<annotation/>")
        assert find_boxes(tmp_path) is None
        (store,) = caplog.records
        assert f"--boxes {tmp_path / 'Annotations'}" in store.getMessage()
        (tmp_path / "boxes.csv").touch()
        assert find_boxes(tmp_path) == tmp_path / "boxes.csv"
    assert len(caplog.records) == 1


def test_what_is_no_file_of_boxes_is_refused(tmp_path: Path) -> None:
    """An empty folder, another suffix, nothing."""
    (tmp_path / "boxes.txt").touch()
    for path in (tmp_path, tmp_path / "boxes.txt", tmp_path / "lost"):
        with pytest.raises(DataError, match=str(path)):
            read_box_file(path)


def test_an_image_with_many_boxes_is_opened_once_for_each_size(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a PNG, whose orientation may stand behind its pixels, is decoded for each box."""
    labels = tmp_path / "yolo" / "labels" / "crow"
    labels.mkdir(parents=True)
    (tmp_path / "yolo" / "classes.txt").write_text("crow\n")
    lines = [f"0 0.5 0.5 0.{number} 0.5\n" for number in range(1, 6)]
    (labels / "b.txt").write_text("".join(lines))
    options: list[tuple[Path, bool]] = []

    def counting(path: Path, *, header_only: bool = False) -> tuple[int, int]:
        options.append((path, header_only))
        return read_image_size(path, header_only=header_only)

    monkeypatch.setattr("wsol.data.annotations.boxes.read_image_size", counting)
    assert list(map(len, boxes_of(images, tmp_path / "yolo"))) == [0, 5, 0]
    assert len(options) == len(set(options))
