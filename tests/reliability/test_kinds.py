"""Images of unusual kinds are found as their ordinary twins are, in the frame of a viewer."""

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from wsol.data.synthetic.toy import toy_images

from .support import Tally, coco_boxes, coco_rows, read_json

TO_STORED = {
    1: (),
    2: (Image.Transpose.FLIP_LEFT_RIGHT,),
    3: (Image.Transpose.ROTATE_180,),
    4: (Image.Transpose.FLIP_TOP_BOTTOM,),
    5: (Image.Transpose.TRANSPOSE,),
    6: (Image.Transpose.ROTATE_90,),
    7: (Image.Transpose.TRANSVERSE,),
    8: (Image.Transpose.ROTATE_270,),
}


@pytest.fixture
def image() -> Image.Image:
    """Return an image that is wider than high."""
    return next(toy_images(1, seed=5)).image.resize((200, 120))


def test_16_bit_images_equal_their_8_bit_twins(
    image: Image.Image, predict: tuple, tally: Tally, tmp_path: Path
) -> None:
    """A ramp and an image, of which plain conversion would make white ones."""
    folder = tmp_path / "photos"
    folder.mkdir()
    ramp = np.tile(np.arange(256, dtype=np.uint8), (100, 1))
    for name, gray in (("ramp", ramp), ("image", np.asarray(image.convert("L")))):
        Image.fromarray(gray).save(folder / f"{name}.8.png")
        for kind in ("png", "tif"):
            Image.fromarray(gray.astype(np.uint16) * 257).save(folder / f"{name}.16.{kind}")
    done = tally.inside(*predict, folder, "--out", tmp_path / "out", "--num_workers", 0)
    assert done.status == 0
    boxes = coco_boxes(tmp_path / "out")
    for name in ("ramp", "image"):
        twin = boxes[f"{name}.8.png"]
        for kind in ("png", "tif"):
            found = boxes[f"{name}.16.{kind}"]
            assert [box for box, _ in found] == [box for box, _ in twin]
            assert [score for _, score in found] == pytest.approx([score for _, score in twin])
    assert boxes["ramp.8.png"][0][1] != pytest.approx(boxes["image.8.png"][0][1], abs=1e-6)


def test_modes_are_converted_each_in_its_way(
    image: Image.Image, predict: tuple, tally: Tally, tmp_path: Path
) -> None:
    """Gray, palette, transparency and CMYK: the score is nearly that of plain red, green, blue."""
    folder = tmp_path / "photos"
    folder.mkdir()
    few = image.quantize(60)
    clear = few.convert("RGBA")
    clear.putalpha(image.convert("L").point(lambda level: 255 * (level > 90)))
    on_white = Image.alpha_composite(Image.new("RGBA", few.size, "white"), clear).convert("RGB")
    gray = image.convert("L")
    twins = {
        "palette.png": (few, few.convert("RGB")),
        "palette.gif": (few, few.convert("RGB")),
        "clear.png": (clear, on_white),
        "gray.png": (gray, gray.convert("RGB")),
        "cmyk.tif": (few.convert("RGB").convert("CMYK"), few.convert("RGB")),
    }
    for name, (image, twin) in twins.items():
        image.save(folder / name)
        twin.save(folder / f"{name}.twin.png")
    assert tally.inside(*predict, folder, "--out", tmp_path / "out", "--num_workers", 0).status == 0
    boxes = coco_boxes(tmp_path / "out")
    for name in twins:
        (box, score), (other, expected) = boxes[name][0], boxes[f"{name}.twin.png"][0]
        assert box == pytest.approx(other, abs=1), name
        assert score == pytest.approx(expected, abs=1e-4), name


def test_all_orientations_give_one_box_in_the_displayed_frame(
    image: Image.Image, predict: tuple, tally: Tally, tmp_path: Path
) -> None:
    """And every export that states a size states that of the displayed image."""
    folder, out = tmp_path / "photos", tmp_path / "out"
    folder.mkdir()
    for number, turns in TO_STORED.items():
        stored, exif = image, Image.Exif()
        for turn in turns:
            stored = stored.transpose(turn)
        exif[0x0112] = number
        stored.save(folder / f"{number}.png", exif=exif)
        stored.save(folder / f"{number}.jpg", exif=exif, quality=95)
    options = ("--num_workers", 0, "--format", "coco,voc,cvat,labelstudio,csv,masks")
    assert tally.inside(*predict, folder, "--out", out, *options).status == 0
    rows, boxes = coco_rows(out), coco_boxes(out)
    assert {(row["width"], row["height"]) for row in rows.values()} == {(200, 120)}
    for kind, slack in (("png", 0.01), ("jpg", 1)):
        for number in TO_STORED:
            (box, _), (first, _) = boxes[f"{number}.{kind}"][0], boxes[f"1.{kind}"][0]
            assert box == pytest.approx(first, abs=slack)
    for image in ElementTree.parse(out / "cvat/annotations.xml").iter("image"):
        assert (image.get("width"), image.get("height")) == ("200", "120")
    for file in (out / "voc/Annotations").glob("*.xml"):
        assert ElementTree.parse(file).findtext("size/width") == "200"
    for task in read_json(out / "labelstudio/tasks.json"):
        for region in task["predictions"][0]["result"]:
            assert (region["original_width"], region["original_height"]) == (200, 120)
    for file in (out / "masks").glob("*.png"):
        with Image.open(file) as mask:
            assert mask.size == (200, 120)


def test_the_first_frame_of_an_animation_is_the_image(
    image: Image.Image, predict: tuple, tally: Tally, tmp_path: Path
) -> None:
    """One row for five frames, and its box is that of the first."""
    folder, out = tmp_path / "photos", tmp_path / "out"
    folder.mkdir()
    frames = [image, *(Image.new("RGB", image.size, (40 * i, 0, 0)) for i in range(4))]
    first = [frame.quantize(200) for frame in frames]
    first[0].save(folder / "moving.gif", save_all=True, append_images=first[1:])
    for name in ("moving.webp", "moving.png", "pages.tif"):
        options = {"lossless": True} if name.endswith("webp") else {}
        frames[0].save(folder / name, save_all=True, append_images=frames[1:], **options)
    first[0].convert("RGB").save(folder / "twin of moving.gif.png")
    image.save(folder / "twin.png")
    assert tally.inside(*predict, folder, "--out", out, "--num_workers", 0).status == 0
    rows, boxes = coco_rows(out), coco_boxes(out)
    assert len(rows) == 6
    assert boxes["moving.gif"] == boxes["twin of moving.gif.png"]
    for name in ("moving.webp", "moving.png", "pages.tif"):
        assert boxes[name] == boxes["twin.png"]
