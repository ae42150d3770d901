"""Sizes are those of the image as displayed, and are read from headers."""

from pathlib import Path

import pytest
from PIL import Image

from wsol.data.images import open_image, read_image_size
from wsol.errors import ImageError


@pytest.mark.parametrize("kind", ["jpg", "png", "webp", "tiff"])
@pytest.mark.parametrize("turn", range(1, 10))
def test_the_size_is_that_of_the_image_as_displayed(tmp_path: Path, kind: str, turn: int) -> None:
    """Orientations 5 to 8 lie on their side; 9 is none."""
    exif = Image.Exif()
    exif[0x0112] = turn
    Image.new("RGB", (30, 20)).save(tmp_path / f"a.{kind}", exif=exif)
    assert read_image_size(tmp_path / f"a.{kind}") == ((20, 30) if 5 <= turn <= 8 else (30, 20))


def test_a_jpeg_is_measured_without_its_pixels(tmp_path: Path) -> None:
    """A file cut short after its header has a size, but no image."""
    file = tmp_path / "a.jpg"
    Image.effect_noise((64, 48), 80).save(file)
    file.write_bytes(file.read_bytes()[:700])
    assert read_image_size(file) == (64, 48)
    with pytest.raises(ImageError, match=r"a\.jpg: cannot be decoded"), open_image(file) as image:
        image.load()


def test_a_png_that_is_too_large_is_refused_from_the_header(tmp_path: Path) -> None:
    """It is decoded for its size where it may say behind its pixels that it is turned."""
    Image.new("L", (40, 30)).save(tmp_path / "a.png")
    assert read_image_size(tmp_path / "a.png", max_pixels=1200) == (40, 30)
    with pytest.raises(ImageError, match=r"limit of 1,199 .* width and height"):
        read_image_size(tmp_path / "a.png", max_pixels=1199)


@pytest.mark.parametrize("name", ["a.jpg", "a.tiff", "a.webp", "a.bmp", "a.gif", "turned.png"])
def test_what_is_only_measured_may_be_of_any_size(tmp_path: Path, name: str) -> None:
    """No pixel of it is decoded."""
    exif = Image.Exif()
    exif[0x0112] = 1
    Image.new("L", (40, 30)).save(tmp_path / name, **({"exif": exif} if "png" in name else {}))
    assert read_image_size(tmp_path / name, max_pixels=1) == (40, 30)


def test_what_fails_inside_the_block_names_the_file(tmp_path: Path) -> None:
    """An error of the code that reads is one of the file."""
    Image.new("L", (4, 3)).save(tmp_path / "a.png")
    reason = r"a\.png: cannot be decoded as PNG: odd"
    with pytest.raises(ImageError, match=reason), open_image(tmp_path / "a.png"):
        raise ValueError("odd")
