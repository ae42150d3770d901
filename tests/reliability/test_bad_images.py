"""Files that are damaged, cut, empty or no images: one row each, and no input is changed."""

import io
import os
import random
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from wsol._utils.names import unescape_name
from wsol.data.synthetic.toy import toy_images
from wsol.formats._files import from_cell

from .support import Tally, check_no_nan, coco_rows, digests, names_below, read_csv

KINDS = {
    "jpg": ("JPEG", {"quality": 90}),
    "progressive.jpg": ("JPEG", {"progressive": True}),
    "png": ("PNG", {}),
    "webp": ("WEBP", {}),
    "lossless.webp": ("WEBP", {"lossless": True}),
    "gif": ("GIF", {}),
    "bmp": ("BMP", {}),
    "tif": ("TIFF", {}),
    "lzw.tif": ("TIFF", {"compression": "tiff_lzw"}),
    "ppm": ("PPM", {}),
}
DAMAGED = int(os.environ.get("WSOL_DAMAGED", "500"))


def encoded(image: Image.Image, kind: str) -> bytes:
    """Return an image as a file."""
    name, options = KINDS[kind]
    exif = Image.Exif()
    exif[0x0112] = 6
    stream = io.BytesIO()
    image.save(stream, name, **options, **({} if name in ("GIF", "BMP", "PPM") else {"exif": exif}))
    return stream.getvalue()


def damaged(data: bytes, rng: random.Random) -> bytes:
    """Return a file with some bytes changed, or cut, or both; half of it in the header."""
    changed = bytearray(data)
    for _ in range(rng.randint(0, 6)):
        end = rng.choice([min(200, len(data)), len(data)])
        changed[rng.randrange(end)] = rng.randrange(256)
    if changed == data or rng.random() < 0.3:
        del changed[rng.randrange(len(data)) :]
    return bytes(changed)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of good images, of 500 damaged ones, and of files that are none."""
    folder = tmp_path_factory.mktemp("images")
    images = [image.image.resize((90, 60)) for image in toy_images(4, seed=1)]
    rng = random.Random(7)
    for number in range(DAMAGED):
        kind = list(KINDS)[number % len(KINDS)]
        data = damaged(encoded(images[number % 4], kind), rng)
        (folder / f"{number:03d}.{kind}").write_bytes(data)
    for kind in KINDS:
        whole = encoded(images[0], kind)
        (folder / f"good.{kind}").write_bytes(whole)
        # A reader that looks at the header alone takes it.
        (folder / f"half.{kind}").write_bytes(whole[: len(whole) // 2])
        (folder / f"empty.{kind}").touch()
        (folder / f"text.{kind}").write_text("no image")
        (folder / f"page.{kind}").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    return folder


@pytest.fixture(scope="module")
def out(
    folder: Path, predict: tuple, tally: Tally, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Predict all of them at once, in a process of its own with workers."""
    out, before = tmp_path_factory.mktemp("out"), digests(folder)
    formats = "coco,csv,parquet,voc,cvat,labelstudio,yolo,masks,heatmaps"
    options = ("--format", formats, "--num_workers", 2, "--report", 50)
    done = tally.command(*predict, folder, "--out", out, *options)
    tally.tried(len(before) - len(KINDS))
    tally.unchanged(before)
    assert done.status == 3
    return out


def test_every_file_has_one_row_in_every_export(folder: Path, out: Path, tally: Tally) -> None:
    """Those in error too, and no number is none."""
    names = names_below(folder)
    tally.rows(names, coco_rows(out))
    with_boxes = {from_cell(row["image_id"]) for row in read_csv(out / "predictions.csv")}
    tally.rows(names, with_boxes)
    table = pq.read_table(out / "predictions.parquet").column("image_id").to_pylist()
    tally.rows(names, set(map(unescape_name, table)))
    for name in ("voc", "cvat", "labelstudio", "yolo", "masks", "heatmaps"):
        rows = read_csv(out / name / "images.csv")
        tally.rows(names, [from_cell(row["image_id"]) for row in rows])
    assert check_no_nan(out) > DAMAGED


def test_half_a_image_is_no_image(out: Path) -> None:
    """Good ones are found to be so, and what is cut, empty or no image says why."""
    rows = coco_rows(out)
    for kind in KINDS:
        assert rows[f"good.{kind}"]["status"] in ("ok", "no_object")
        for bad in ("half", "empty", "text", "page"):
            row = rows[f"{bad}.{kind}"]
            assert row["status"] == "error", row
            assert row["error"], row
    statuses = Counter(row["status"] for row in rows.values())
    assert statuses["error"] > DAMAGED * 0.4
    assert statuses["ok"] + statuses["no_object"] > DAMAGED * 0.04


def test_a_image_that_could_be_read_is_as_its_row_says(folder: Path, out: Path) -> None:
    """Damage may change pixels; a size that is written is that of an image that was decoded."""
    rows = coco_rows(out)
    sizes = np.array(
        [(row["width"], row["height"]) for row in rows.values() if row["status"] != "error"]
    )
    assert (sizes >= 1).all()
    # On its side, as its file says; formats without that mark are as they are stored.
    assert (rows["good.jpg"]["width"], rows["good.jpg"]["height"]) == (60, 90)
    assert (rows["good.bmp"]["width"], rows["good.bmp"]["height"]) == (90, 60)
