"""YOLO: as training readers find images and labels, and as globox reads them."""

import csv
import os
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import yaml
from globox import Annotation, AnnotationSet
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from wsol._utils.names import unescape_name
from wsol.errors import DataError, ImageError
from wsol.formats import PredictionInfo, create_writer
from wsol.formats._files import from_cell
from wsol.results.localization import Localization


def label_of(image: Path) -> Path:
    """Return where Ultralytics' readers look for an image's labels."""
    before, _, after = str(image).rpartition(f"{os.sep}images{os.sep}")
    return Path(f"{before}{os.sep}labels{os.sep}{after}".rsplit(".", 1)[0] + ".txt")


READ = {"bmp", "jpeg", "jpg", "mpo", "png", "tif", "tiff", "webp"}
"""Suffixes that all versions of Ultralytics take; later ones take a few more."""


def images_of(root: Path, split: str) -> list[Path]:
    """Return the images of a split as Ultralytics' ``get_img_files`` finds them."""
    file = root / yaml.safe_load((root / "data.yaml").read_text(encoding="utf-8"))[split]
    parent = str(file.parent) + os.sep
    lines = file.read_text(encoding="utf-8").strip().splitlines()
    files = [line.replace("./", parent) if line.startswith("./") else line for line in lines]
    return sorted(Path(f) for f in files if f.rpartition(".")[-1].lower() in READ)


def located(name: str, size: tuple[int, int]) -> Localization:
    """Return a result with two boxes, one over the whole image."""
    width, height = size
    boxes = np.array([[0, 0, width, height], [width / 3, height / 7, width / 2, height]])
    scores = np.array([1.0, 0.25])
    return Localization(name, size, boxes=boxes, box_scores=scores, box_labels=np.array([1, 0]))


def save(photos: Path, name: str, size: tuple[int, int] = (30, 20)) -> None:
    """Write an image."""
    (photos / name).parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size).save(photos / name, "PNG" if "." not in name else None)


NAMES = (
    "same.jpg",
    "same.png",
    "same.png.png",
    "images/same.jpg",
    "other/images/same.jpg",
    "a.txt/b.jpg",
    "a.jpg",
    "日本 1/=cmd|x.jpg",
    "line\nbreak.png",
    "ends in a dot./and so./c.jpg",
    "no_suffix",
)


def test_every_image_is_found_with_its_own_labels(tmp_path: Path) -> None:
    """By the rule of training readers, for names that lead careless writers astray."""
    photos = tmp_path / "photos"
    writer = create_writer("yolo", tmp_path, PredictionInfo(("crow", "wren: #1"), photos, 0.2))
    sizes = {name: (30 + number, 20) for number, name in enumerate(NAMES)}
    for name, size in sizes.items():
        save(photos, name, size)
        writer.add(located(name, size))
    writer.add(Localization("bad.jpg", error=ImageError("bad.jpg", "the file is empty")))
    save(photos, "none.jpg")
    writer.add(Localization("none.jpg", (30, 20)))
    writer.close()
    root = tmp_path / "yolo"
    data = yaml.safe_load((root / "data.yaml").read_text(encoding="utf-8"))
    assert data["names"] == {0: "crow", 1: "wren: #1"}
    assert "path" not in data
    listed = {*images_of(root, "train"), *images_of(root, "val")}
    assert len(listed) == len(NAMES)
    images = [path for path in (root / "images").rglob("*.*") if path.is_file()]
    assert {path for path in images if path not in listed} == {root / "images/none.jpg"}
    assert len(images) == len(NAMES) + 1
    labels = {label_of(path) for path in images}
    assert len(labels) == len(images)
    assert labels == {path for path in (root / "labels").rglob("*.txt") if path.is_file()}
    seen = set()
    for image in images:
        name = image.resolve().relative_to(photos.resolve()).as_posix()
        seen.add(name)
        content = label_of(image).read_text()
        if name == "none.jpg":
            assert content == ""
            continue
        with Image.open(image) as drawn:
            assert drawn.size == sizes[name]
        rows = np.loadtxt(content.splitlines())
        assert rows.shape == (2, 5)
        assert rows.min() >= 0
        assert rows[:, 1:].max() <= 1
        found = Annotation.from_yolo_v5(label_of(image), image_size=sizes[name])
        for box, corners in zip(found.boxes, located(name, sizes[name]).boxes, strict=True):
            np.testing.assert_allclose(box.ltrb, corners, atol=1e-3)
        assert [box.label for box in found.boxes] == ["1", "0"]
    assert seen == {*NAMES, "none.jpg"}
    assert (root / "labels/same.png.txt").is_file()
    listing = (root / "images.csv").read_text(encoding="utf-8")
    assert '"bad.jpg","","error","the file is empty"' in listing


@settings(max_examples=40)
@given(data=st.data())
def test_globox_reads_boxes_and_scores_of_any_size(
    data: st.DataObject,
    predictions: st.SearchStrategy[list[Localization]],
    classes: tuple[str, ...],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Within half a pixel, in labels and in confidences."""
    results = data.draw(predictions)
    folder = tmp_path_factory.mktemp("yolo")
    somewhere = folder / "any.jpg"
    Image.new("RGB", (2, 1)).save(somewhere)

    class Elsewhere(PredictionInfo):
        def path(self, result: Localization) -> Path:
            return somewhere

    writer = create_writer("yolo", folder, Elsewhere(classes, folder, 0.2))
    for result in results:
        writer.add(result)
    writer.close()
    names = yaml.safe_load((folder / "yolo/data.yaml").read_text(encoding="utf-8"))["names"]
    found = [result for result in results if result.error is None]
    occurring = sorted({label for result in found for label in result.box_labels.tolist()})
    assert [unescape_name(name) for name in names.values()] == [
        classes[label] for label in occurring
    ]
    assert list(names) == list(range(len(occurring)))
    number = {label: number for number, label in enumerate(occurring)}
    written = sorted((folder / "yolo/labels").rglob("*.txt"))
    assert len(written) == sum(result.error is None for result in results)
    for result in results:
        if result.error is not None:
            continue
        (label,) = [path for path in written if path in _labels_of(folder, result.image_id)]
        confidence = Path(str(label).replace("/yolo/labels/", "/yolo/confidences/"))
        plain = Annotation.from_yolo_v5(label, image_size=result.original_size)
        scored = Annotation.from_yolo_v5(confidence, image_size=result.original_size)
        assert [box.confidence for box in scored.boxes] == result.box_scores.tolist()
        for read in (plain, scored):
            labels = [number[label] for label in result.box_labels.tolist()]
            assert [int(box.label) for box in read.boxes] == labels
            for box, corners in zip(read.boxes, result.boxes, strict=True):
                np.testing.assert_allclose(box.ltrb, corners, atol=0.5)


def _labels_of(folder: Path, image_id: str) -> list[Path]:
    """Return the label file that the list of images names."""
    with (folder / "yolo/images.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if from_cell(row["image_id"]) == image_id]
    return [label_of(folder / "yolo" / row["file"]) for row in rows]


def test_globox_reads_the_folder(tmp_path: Path) -> None:
    """Labels beside images, sizes from the links."""
    photos = tmp_path / "photos"
    writer = create_writer("yolo", tmp_path, PredictionInfo(("crow", "wren"), photos, 0.2))
    for name in ("1.jpg", "2.jpg"):
        save(photos, name)
        writer.add(located(name, (30, 20)))
    writer.close()
    root = tmp_path / "yolo"
    found = AnnotationSet.from_yolo_v5(root / "labels", image_folder=root / "images")
    assert {annotation.image_id for annotation in found} == {"1.jpg", "2.jpg"}
    for annotation in found:
        assert annotation.boxes[1].ltrb == pytest.approx((10, 20 / 7, 15, 20), abs=1e-3)


def test_shares_are_of_the_image_as_displayed(tmp_path: Path) -> None:
    """A reader finds the box where it is seen, whether or not it turns images.

    Training readers turn JPEG alone.
    """
    photos = tmp_path / "photos"
    photos.mkdir()
    upright = Image.new("L", (20, 40))
    upright.paste(255, (5, 30, 15, 40))
    exif = Image.Exif()
    exif[0x0112] = 6
    upright.rotate(90, expand=True).save(photos / "a.png", exif=exif)
    box = {"boxes": np.array([[5.0, 30, 15, 40]]), "box_scores": np.ones(1)}
    writer = create_writer("yolo", tmp_path, PredictionInfo(("crow",), photos, 0.2))
    writer.add(Localization("a.png", (20, 40), **box, box_labels=np.zeros(1, int)))
    writer.close()
    image = tmp_path / "yolo/images/a.png"
    with Image.open(image) as found:
        assert found.size == (20, 40)
        drawn = np.asarray(ImageOps.exif_transpose(found))
    height, width = drawn.shape
    _, x, y, w, h = map(float, label_of(image).read_text().split())
    x0, y0 = round((x - w / 2) * width), round((y - h / 2) * height)
    window = drawn[y0 : y0 + round(h * height), x0 : x0 + round(w * width)]
    assert window.shape == (10, 10)
    assert (window == 255).all()
    assert (drawn == 255).sum() == 100


def test_where_links_cannot_be_made_images_are_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a file system without links."""

    def refuse(*_: object) -> None:
        raise OSError("not supported")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    photos = tmp_path / "photos"
    save(photos, "a.jpg")
    writer = create_writer("yolo", tmp_path, PredictionInfo(("crow", "wren"), photos, 0.2))
    writer.add(located("a.jpg", (30, 20)))
    writer.close()
    copy = tmp_path / "yolo/images/a.jpg"
    assert not copy.is_symlink()
    assert copy.read_bytes() == (photos / "a.jpg").read_bytes()


def test_links_hold_when_all_is_moved_and_copies_alone(tmp_path: Path) -> None:
    """Links are relative, below a folder that is itself a link, and copies need nothing else."""
    photos, real = tmp_path / "all/photos", tmp_path / "all/deep/er"
    save(photos, "crow/a.jpg")
    real.mkdir(parents=True)
    (tmp_path / "all/out").symlink_to("deep/er")
    for name in ("links", "copies"):
        (real / name).mkdir()
        info = PredictionInfo(("crow", "wren"), photos, 0.2)
        options = {"copy_images": name == "copies", "max_pixels": "of no format"}
        writer = create_writer("yolo", tmp_path / "all/out" / name, info, options)
        writer.add(located("crow/a.jpg", (30, 20)))
        writer.close()
    (tmp_path / "all").rename(tmp_path / "moved")
    link = tmp_path / "moved/out/links/yolo/images/crow/a.jpg"
    assert link.is_symlink()
    assert not link.readlink().is_absolute()
    assert link.read_bytes() == (tmp_path / "moved/photos/crow/a.jpg").read_bytes()
    (tmp_path / "moved/deep/er/copies").rename(tmp_path / "alone")
    (image,) = images_of(tmp_path / "alone/yolo", "train")
    assert image.read_bytes() == link.read_bytes()


@pytest.mark.parametrize(("fraction", "number", "in_val"), [(0.1, 31, 3), (0.5, 9, 4), (0.1, 2, 1)])
def test_training_and_validation_share_no_image(
    fraction: float, number: int, in_val: int, tmp_path: Path
) -> None:
    """All images with a box are in one of them, those for validation spread over all folders."""
    photos = tmp_path / "photos"
    options = {"val_fraction": fraction}
    writer = create_writer("yolo", tmp_path, PredictionInfo(("crow", "wren"), photos, 0.2), options)
    for index in range(number):
        save(photos, f"{index:02d}.png", (4, 4))
        writer.add(located(f"{index:02d}.png", (4, 4)))
        writer.add(Localization("bad.jpg", error=ImageError("bad.jpg", "the file is empty")))
    writer.close()
    train, val = images_of(tmp_path / "yolo", "train"), images_of(tmp_path / "yolo", "val")
    assert not set(train) & set(val)
    assert (len(train), len(val)) == (number - in_val, in_val)
    places = sorted(int(path.stem) for path in val)
    assert places[0] == 1
    assert all(later - earlier <= 1 / fraction for earlier, later in pairwise(places))


@pytest.mark.parametrize(("fraction", "number"), [(0, 5), (0.5, 1)])
def test_a_single_list_serves_for_both(fraction: float, number: int, tmp_path: Path) -> None:
    """Where no split is asked for, or one image is all there is."""
    options = {"val_fraction": fraction}
    writer = create_writer(
        "yolo", tmp_path, PredictionInfo(("crow", "wren"), tmp_path, 0.2), options
    )
    for index in range(number):
        save(tmp_path, f"{index}.png", (4, 4))
        writer.add(located(f"{index}.png", (4, 4)))
    writer.close()
    assert len(images_of(tmp_path / "yolo", "train")) == number
    assert images_of(tmp_path / "yolo", "val") == images_of(tmp_path / "yolo", "train")


def test_only_classes_that_occur_are_listed_each_by_a_separate_name(tmp_path: Path) -> None:
    """Numbered from 0 in the order of the network's, in labels and confidences."""
    classes = tuple("crane" if number in (134, 517) else f"{number}" for number in range(1000))
    writer = create_writer("yolo", tmp_path, PredictionInfo(classes, tmp_path, 0.2))
    for name, labels in (("a.png", [517, 3]), ("b.png", [134]), ("c.png", [])):
        save(tmp_path, name, (4, 4))
        boxes = np.tile([0.0, 1, 2, 3], (len(labels), 1))
        found = {"boxes": boxes, "box_scores": np.ones(len(labels))}
        writer.add(Localization(name, (4, 4), box_labels=np.array(labels, int), **found))
    writer.close()
    root = tmp_path / "yolo"
    data = yaml.safe_load((root / "data.yaml").read_text(encoding="utf-8"))
    assert data["names"] == {0: "3", 1: "crane#134", 2: "crane#517"}
    assert data["nc"] == 3
    for folder in ("labels", "confidences"):
        rows = [(root / folder / f"{name}.txt").read_text().split("\n") for name in "abc"]
        assert [[row.split(" ")[0] for row in of] for of in rows] == [
            ["2", "0", ""],
            ["1", ""],
            [""],
        ]


KINDS = [
    ("a.jpg", "JPEG", ".jpg"),
    ("a.JPG", "JPEG", ".JPG"),
    ("a.jfif", "JPEG", ".jpg"),
    ("a.jpe", "JPEG", ".jpg"),
    ("a.png", "JPEG", ".jpg"),
    ("a", "PNG", ".png"),
    ("a.tif", "TIFF", ".tif"),
    ("a.webp", "WEBP", ".webp"),
    ("a.bmp", "BMP", ".bmp"),
    ("a.gif", "GIF", None),
    ("a.ppm", "PPM", None),
    ("a.jpg", "GIF", None),
]


@pytest.mark.parametrize(("name", "kind", "suffix"), KINDS)
def test_training_readers_take_every_kind(
    name: str, kind: str, suffix: str | None, tmp_path: Path
) -> None:
    """They go by suffix, and then by content; what they pass over is written anew as PNG."""
    (tmp_path / "photos").mkdir()
    drawn = Image.new("RGB", (30, 20), (200, 40, 90))
    drawn.save(tmp_path / "photos" / name, kind)
    writer = create_writer(
        "yolo", tmp_path, PredictionInfo(("crow", "wren"), tmp_path / "photos", 0.2)
    )
    writer.add(located(name, (30, 20)))
    writer.close()
    (image,) = images_of(tmp_path / "yolo", "train")
    assert image.suffix == suffix or (suffix is None and image.suffix == ".png")
    assert image.is_symlink() == (suffix is not None)
    with Image.open(image) as found:
        assert (found.format or "").lower() in READ
        assert np.abs(np.asarray(found.convert("RGB"), int) - np.asarray(drawn)).max() <= 8
    assert label_of(image).read_text()
    assert label_of(image).stem == "a"


def test_depths_that_training_readers_do_not_take_are_rewritten(tmp_path: Path) -> None:
    """A TIFF of floats, as microscopes write it."""
    Image.fromarray(np.eye(8, dtype=np.float32)).save(tmp_path / "a.tif")
    writer = create_writer("yolo", tmp_path, PredictionInfo(("crow", "wren"), tmp_path, 0.2))
    writer.add(located("a.tif", (8, 8)))
    writer.close()
    with Image.open(tmp_path / "yolo/images/a.png") as found:
        assert (np.asarray(found.convert("L")) == 255 * np.eye(8)).all()


def test_a_image_that_has_moved_is_named(tmp_path: Path) -> None:
    """With what to do, and nothing half is left."""
    writer = create_writer(
        "yolo", tmp_path, PredictionInfo(("crow", "wren"), tmp_path / "photos", 0.2)
    )
    with pytest.raises(DataError, match=r"photos/a\.jpg: .* --images"):
        writer.add(located("a.jpg", (30, 20)))
    del writer
    assert list(tmp_path.iterdir()) == []


def test_an_image_that_is_damaged_by_now_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Training readers leave it out."""
    (tmp_path / "a.gif").touch()
    writer = create_writer("yolo", tmp_path, PredictionInfo(("crow", "wren"), tmp_path, 0.2))
    writer.add(located("a.gif", (30, 20)))
    writer.close()
    assert "a.gif: " in caplog.text
    assert (tmp_path / "yolo/images/a.gif").is_symlink()
