"""YOLO: as training readers find pictures and labels, and as globox reads them."""

import csv
import os
from pathlib import Path

import numpy as np
import pytest
import yaml
from globox import Annotation, AnnotationSet
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from wsol.errors import DataError, ImageError
from wsol.formats import About, create_writer
from wsol.formats.cells import from_cell
from wsol.formats.portable import original
from wsol.localization import Localization


def label_of(image: Path) -> Path:
    """Return where Ultralytics' readers look for a picture's labels."""
    before, _, after = str(image).rpartition(f"{os.sep}images{os.sep}")
    return Path(f"{before}{os.sep}labels{os.sep}{after}".rsplit(".", 1)[0] + ".txt")


def located(name: str, size: tuple[int, int]) -> Localization:
    """Return a result with two boxes, one over the whole picture."""
    width, height = size
    boxes = np.array([[0, 0, width, height], [width / 3, height / 7, width / 2, height]])
    scores = np.array([1.0, 0.25])
    return Localization(name, size, boxes=boxes, box_scores=scores, box_labels=np.array([1, 0]))


def save(photos: Path, name: str, size: tuple[int, int] = (30, 20)) -> None:
    """Write a picture."""
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
    "no_suffix",
)


def test_every_picture_is_found_with_its_own_labels(tmp_path: Path) -> None:
    """By the rule of training readers, for names that lead careless writers astray."""
    photos = tmp_path / "photos"
    writer = create_writer("yolo", tmp_path, About(("crow", "wren: #1"), photos, 0.2))
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
    images = [path for path in (root / data["train"]).rglob("*.*") if path.is_file()]
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
        with Image.open(image) as picture:
            assert picture.size == sizes[name]
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
    somewhere.touch()

    class Elsewhere(About):
        def path(self, result: Localization) -> Path:
            return somewhere

    writer = create_writer("yolo", folder, Elsewhere(classes, folder, 0.2))
    for result in results:
        writer.add(result)
    writer.close()
    names = yaml.safe_load((folder / "yolo/data.yaml").read_text(encoding="utf-8"))["names"]
    assert tuple(map(original, names.values())) == classes
    written = sorted((folder / "yolo/labels").rglob("*.txt"))
    assert len(written) == sum(result.error is None for result in results)
    for result in results:
        if result.error is not None:
            continue
        (label,) = [path for path in written if path in _labels_of(folder, result.image_id)]
        confidence = Path(str(label).replace("/yolo/labels/", "/yolo/confidences/"))
        plain = Annotation.from_yolo_v5(label, image_size=result.image_size)
        scored = Annotation.from_yolo_v5(confidence, image_size=result.image_size)
        assert [box.confidence for box in scored.boxes] == result.box_scores.tolist()
        for found in (plain, scored):
            assert [int(box.label) for box in found.boxes] == result.box_labels.tolist()
            for box, corners in zip(found.boxes, result.boxes, strict=True):
                np.testing.assert_allclose(box.ltrb, corners, atol=0.5)


def _labels_of(folder: Path, image_id: str) -> list[Path]:
    """Return the label file that the list of pictures names."""
    with (folder / "yolo/images.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if from_cell(row["image_id"]) == image_id]
    return [label_of(folder / "yolo" / row["file"]) for row in rows]


def test_globox_reads_the_folder(tmp_path: Path) -> None:
    """Labels beside pictures, sizes from the links."""
    photos = tmp_path / "photos"
    writer = create_writer("yolo", tmp_path, About(("crow", "wren"), photos, 0.2))
    for name in ("1.jpg", "2.jpg"):
        save(photos, name)
        writer.add(located(name, (30, 20)))
    writer.close()
    root = tmp_path / "yolo"
    found = AnnotationSet.from_yolo_v5(root / "labels", image_folder=root / "images")
    assert {annotation.image_id for annotation in found} == {"1.jpg", "2.jpg"}
    for annotation in found:
        assert annotation.boxes[1].ltrb == pytest.approx((10, 20 / 7, 15, 20), abs=1e-3)


def test_shares_are_of_the_picture_as_displayed(tmp_path: Path) -> None:
    """A reader that turns pictures, as training readers do, finds the box where it is seen."""
    photos = tmp_path / "photos"
    photos.mkdir()
    upright = Image.new("L", (20, 40))
    upright.paste(255, (5, 30, 15, 40))
    exif = Image.Exif()
    exif[0x0112] = 6
    upright.rotate(90, expand=True).save(photos / "a.png", exif=exif)
    box = {"boxes": np.array([[5.0, 30, 15, 40]]), "box_scores": np.ones(1)}
    writer = create_writer("yolo", tmp_path, About(("crow",), photos, 0.2))
    writer.add(Localization("a.png", (20, 40), **box, box_labels=np.zeros(1, int)))
    writer.close()
    image = tmp_path / "yolo/images/a.png"
    picture = np.asarray(ImageOps.exif_transpose(Image.open(image)))
    height, width = picture.shape
    _, x, y, w, h = map(float, label_of(image).read_text().split())
    x0, y0 = round((x - w / 2) * width), round((y - h / 2) * height)
    window = picture[y0 : y0 + round(h * height), x0 : x0 + round(w * width)]
    assert window.shape == (10, 10)
    assert (window == 255).all()
    assert (picture == 255).sum() == 100


def test_where_links_cannot_be_made_pictures_are_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a file system without links."""

    def refuse(*_: object) -> None:
        raise OSError("not supported")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    photos = tmp_path / "photos"
    save(photos, "a.jpg")
    writer = create_writer("yolo", tmp_path, About(("crow", "wren"), photos, 0.2))
    writer.add(located("a.jpg", (30, 20)))
    writer.close()
    copy = tmp_path / "yolo/images/a.jpg"
    assert not copy.is_symlink()
    assert copy.read_bytes() == (photos / "a.jpg").read_bytes()


def test_a_picture_that_has_moved_is_named(tmp_path: Path) -> None:
    """With what to do, and nothing half is left."""
    writer = create_writer("yolo", tmp_path, About(("crow", "wren"), tmp_path / "photos", 0.2))
    with pytest.raises(DataError, match=r"photos/a\.jpg: no such file; say with --images"):
        writer.add(located("a.jpg", (30, 20)))
    del writer
    assert list(tmp_path.iterdir()) == []
