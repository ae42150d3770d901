"""Prediction from files to files, good and bad."""

import hashlib
import io
import json
import struct
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from wsol.cli.main import main
from wsol.data.config import PackConfig
from wsol.data.shards.pack import pack
from wsol.data.synthetic.toy import toy_images
from wsol.errors import ConfigError, DataError, RunError
from wsol.inference.localizer import Localizer
from wsol.models.create import imagenet_classes
from wsol.prediction.config import PredictConfig
from wsol.prediction.predict import predict


def rows(out: Path) -> dict[str, dict[str, object]]:
    """Return the row of each input, and check that boxes refer to them."""
    content = json.loads((out / "annotations.json").read_text())
    images = content["images"] + content["errors"]
    results = json.loads((out / "predictions.json").read_text())
    by_id = {image["id"]: image for image in images}
    assert len(by_id) == len(images)
    for result in results:
        image = by_id[result["image_id"]]
        x, y, width, height = result["bbox"]
        assert image["status"] == "ok"
        assert result["file_name"] == image["file_name"]
        assert 0 <= x < x + width <= image["width"]
        assert 0 <= y < y + height <= image["height"]
        assert 0 <= result["score"] <= 1
    return {image["file_name"]: image for image in images}


def huge_png(side: int) -> bytes:
    """Return a valid PNG of ``side`` x ``side`` black pixels in very few bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    packer = zlib.compressobj(9)
    line = bytes(1 + side // 8)
    data = b"".join(packer.compress(line) for _ in range(side)) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Return a folder of four good images of unusual kinds and four bad files."""
    folder = tmp_path / "mixed"
    (folder / "sub").mkdir(parents=True)
    image = next(toy_images(1, seed=5)).image.resize((200, 120))
    image.convert("CMYK").save(folder / "cmyk.jpg")
    grey = np.asarray(image.convert("L"), np.uint16) * 257
    Image.fromarray(grey).save(folder / "deep.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(folder / "turned.jpg", exif=exif, quality=95)
    image.save(folder / "sub" / "日本 1.png")
    (folder / "text.jpg").write_text("no image")
    stream = io.BytesIO()
    image.save(stream, "JPEG")
    (folder / "cut.jpg").write_bytes(stream.getvalue()[: len(stream.getvalue()) // 2])
    (folder / "empty.jpg").touch()
    (folder / "huge.png").write_bytes(huge_png(30_000))
    return folder


@pytest.mark.parametrize("num_workers", [0, 1])
def test_every_file_gets_one_row(
    mixed: Path, tiny_run: Path, tmp_path: Path, num_workers: int
) -> None:
    """Good ones have a status, bad ones a reason, and no input is changed."""
    before = {
        path: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in mixed.rglob("*")
        if path.is_file()
    }
    config = PredictConfig(
        images=[mixed],
        out=tmp_path / "out",
        run=tiny_run,
        num_workers=num_workers,
        save_overlays=True,
        device="cpu",
    )
    statuses = predict(config)
    found = rows(tmp_path / "out")
    assert sorted(found) == sorted(path.relative_to(mixed).as_posix() for path in before)
    errors = {name: row["error"] for name, row in found.items() if row["status"] == "error"}
    assert set(errors) == {"text.jpg", "cut.jpg", "empty.jpg", "huge.png"}
    assert statuses["error"] == 4
    assert "30000 x 30000" in str(errors["huge.png"])
    assert (found["turned.jpg"]["width"], found["turned.jpg"]["height"]) == (120, 200)
    assert len(list((tmp_path / "out/overlays").iterdir())) == 4
    for path, digest in before.items():
        assert hashlib.sha256(path.read_bytes()).hexdigest() == digest


def test_the_turned_image_gets_the_box_of_its_displayed_twin(
    tiny_run: Path, tmp_path: Path
) -> None:
    """Boxes are in the displayed frame, whatever the file's own."""
    folder = tmp_path / "photos"
    folder.mkdir()
    image = next(toy_images(1, seed=5)).image.resize((200, 120))
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(folder / "turned.png", exif=exif)
    image.rotate(270, expand=True).save(folder / "twin.png")
    predict(
        PredictConfig(
            images=[folder], out=tmp_path / "out", run=tiny_run, num_workers=0, device="cpu"
        )
    )
    results = json.loads((tmp_path / "out/predictions.json").read_text())
    boxes = {result["file_name"]: result["bbox"] for result in results}
    assert boxes["turned.png"] == boxes["twin.png"]


def test_the_command_says_3_where_some_are_in_error(
    mixed: Path, tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit status 3 with bad files, 0 without, 2 where there is nothing to do."""
    options = ["--run", str(tiny_run), "--num_workers", "0", "--device", "cpu"]
    assert main(["predict", str(mixed), "--out", str(tmp_path / "a"), *options]) == 3
    assert "4 error" in capsys.readouterr().out
    good = str(mixed / "cmyk.jpg")
    assert main(["predict", good, "--out", str(tmp_path / "b"), *options]) == 0
    assert list(rows(tmp_path / "b")) == [good]
    (tmp_path / "nothing").mkdir()
    for images in (tmp_path / "nothing", tmp_path / "not-there"):
        assert main(["predict", str(images), "--out", str(tmp_path / "c"), *options]) == 2
    assert "no such file or folder" in capsys.readouterr().err


def test_batches_do_not_change_the_boxes(toy: Path, tiny_run: Path, tmp_path: Path) -> None:
    """The same rows for every batch size and number of workers."""
    texts = set()
    for size, num_workers in ((1, 0), (5, 0), (16, 2)):
        out = tmp_path / str(size)
        config = PredictConfig(images=[toy / "test"], out=out, run=tiny_run, device="cpu")
        predict(replace(config, batch_size=size, num_workers=num_workers, precision="fp32"))
        boxes = json.loads((out / "predictions.json").read_text())
        texts.add(json.dumps([(row["file_name"], row["bbox"]) for row in boxes]))
    assert len(texts) == 1


def test_an_output_that_cannot_be_written_is_said_first(tiny_run: Path, toy: Path) -> None:
    """Before the model loads, in one line that names the folder."""
    with pytest.raises(ConfigError, match="/dev/null/out: cannot be written"):
        predict(PredictConfig(images=[toy], out=Path("/dev/null/out"), run=tiny_run))


def test_a_name_given_twice_is_refused(tiny_run: Path, toy: Path, tmp_path: Path) -> None:
    """Ids stay unique."""
    image = toy / "test/disc/0001.jpg"
    with pytest.raises(DataError, match="occurs 2 times"):
        predict(PredictConfig(images=[image, image], out=tmp_path, run=tiny_run))


def test_predict_without_a_run_names_imagenet_classes(toy: Path, tmp_path: Path) -> None:
    """The bundled network answers with its 1,000 classes, without any download."""
    images = sorted((toy / "test").rglob("*.jpg"))[:2]
    predict(PredictConfig(images=images, out=tmp_path / "out", num_workers=0, device="cpu"))
    content = json.loads((tmp_path / "out/annotations.json").read_text())
    used = {row["category_id"] for row in content["annotations"]}
    names = {each["id"]: each["name"] for each in content["categories"]}
    assert names.keys() == used
    assert set(names.values()) <= set(imagenet_classes())
    assert len(rows(tmp_path / "out")) == 2


def test_prediction_writes_every_format_it_is_given(
    mixed: Path, tiny_run: Path, tmp_path: Path
) -> None:
    """Beside the record, and each with a row for every file."""
    out = tmp_path / "out"
    formats = ("csv", "yolo", "voc")
    config = PredictConfig(
        images=[mixed], out=out, run=tiny_run, format=formats, num_workers=0, device="cpu"
    )
    predict(config)
    written = {path.name for path in out.iterdir()}
    assert {"localizations", "predictions.csv", "voc", "yolo"} <= written
    assert "annotations.json" not in written
    for folder in ("voc", "yolo"):
        listing = (out / folder / "images.csv").read_text(encoding="utf-8").splitlines()
        assert len(listing) == 1 + 8
        assert sum('"error"' in line for line in listing[1:]) == 4


def test_what_is_in_the_way_of_a_format_is_said_before_prediction(
    toy: Path, tiny_run: Path, tmp_path: Path
) -> None:
    """Not after hours, and what lies there stays."""
    mine = tmp_path / "yolo/mine.txt"
    mine.parent.mkdir()
    mine.touch()
    config = PredictConfig(
        images=[toy / "test"], out=tmp_path, run=tiny_run, format=("csv", "yolo"), device="cpu"
    )
    with pytest.raises(ConfigError, match="yolo: was not written by wsol"):
        predict(config)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [mine]


@pytest.mark.parametrize(
    "wrong",
    [
        {"format": ("coco", "none such")},
        {"shard": "9/8"},
        {"copy_images": True},
        {"format": ("coco", "csv"), "val_fraction": 0.5},
        {"engine": "ray", "gpus": 1.0, "device": "cpu"},
    ],
)
def test_options_that_do_not_fit_are_refused_before_anything_is_written(
    wrong: dict[str, Any], toy: Path, tmp_path: Path
) -> None:
    """Neither the folder is made, nor another prediction in it removed."""
    with pytest.raises(ConfigError, match=list(wrong)[-1] if "device" not in wrong else "gpus"):
        predict(PredictConfig([toy], tmp_path / "out", **wrong))
    assert list(tmp_path.iterdir()) == []


def test_options_of_a_format_go_with_it(toy: Path, tmp_path: Path) -> None:
    """Among others too."""
    PredictConfig([toy], tmp_path, format=("coco", "yolo"), copy_images=True, val_fraction=0)


@pytest.mark.parametrize("kind", ["shards", "shards among others", "elsewhere"])
def test_links_to_what_is_no_file_are_refused_before_anything_is_loaded(
    toy: Path, tmp_path: Path, kind: str
) -> None:
    """The run is not even looked for, and what to do is said."""
    images = [Path((toy / "test").as_uri())]
    if kind != "elsewhere":
        images = [tmp_path / "packed"]
        pack(PackConfig(toy, images[0]))
    if kind == "shards among others":
        images.append(next((toy / "test").rglob("*.jpg")))
    out = tmp_path / "out"
    config = PredictConfig(images=images, out=out, run=tmp_path / "no run", num_workers=0)
    with pytest.raises(ConfigError, match="format: "):
        predict(replace(config, format=("coco", "yolo")))
    assert not out.exists()
    with pytest.raises(RunError, match="no run"):
        predict(config)


def test_large_jpeg_are_decoded_at_a_smaller_scale(tiny_run: Path, tmp_path: Path) -> None:
    """Sizes and boxes are those of the file; other formats and small files are as they were."""
    image = next(toy_images(1, seed=5)).image
    image.resize((1600, 1200), Image.Resampling.BICUBIC).save(tmp_path / "large.jpg", quality=95)
    image.resize((1600, 1200), Image.Resampling.BICUBIC).save(tmp_path / "large.png")
    image.resize((90, 90)).save(tmp_path / "small.jpg")
    paths = sorted(tmp_path.glob("*.*"))
    exact = list(Localizer(tiny_run, scaled_decoding=False, device="cpu", precision="fp32")(paths))
    scaled = list(Localizer(tiny_run, device="cpu", precision="fp32")(paths))
    assert [result.original_size for result in scaled] == [(1600, 1200), (1600, 1200), (90, 90)]
    for one, other in zip(exact[1:], scaled[1:], strict=True):
        np.testing.assert_array_equal(one.heat_map, other.heat_map)
    difference = np.abs(exact[0].heat_map - scaled[0].heat_map)
    assert 0 < difference.mean() < 0.02
    np.testing.assert_allclose(exact[0].boxes, scaled[0].boxes, atol=80)
