"""Copies of photographs: what is seen stays, what is said beside it goes."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from wsol.data.images import load_image
from wsol.data.synthetic.toy import toy_images
from wsol.errors import ImageError
from wsol.reports.page_data import save_photo

IMAGE = next(toy_images(1, seed=3)).image.resize((200, 150))


def exif(orientation: int = 1) -> Image.Exif:
    """Return metadata that tells where a photograph was taken."""
    found = Image.Exif()
    found[0x0112] = orientation
    found[0x010E] = "secret place"
    return found


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"optimize": True}])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_small_jpeg_keeps_its_look_alone(
    tmp_path: Path, mode: str, options: dict[str, bool]
) -> None:
    """It hardly changes, and is without what it says of itself."""
    path, copy = tmp_path / "a.jpg", tmp_path / "copy.jpg"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    said = {"exif": exif(), "comment": b"secret words", "icc_profile": profile}
    IMAGE.convert(mode).save(path, quality=95, **said, **options)
    save_photo(path, copy, side=640)
    assert b"secret" in path.read_bytes()
    assert b"secret" not in copy.read_bytes()
    with Image.open(copy) as found:
        assert not found.getexif()
        assert "icc_profile" not in found.info
    assert difference(copy, np.asarray(load_image(path))) < 0.5


def difference(copy: Path, before: np.ndarray) -> float:
    """Return the mean difference of a copy's pixels from those before, in levels of 255."""
    return float(np.abs(np.asarray(load_image(copy), float) - before).mean())


def renamed(jpeg: bytes, names: bytes) -> bytes:
    """Return a JPEG whose colours have other names: decoders guess by them what colours are."""
    found = bytearray(jpeg)
    frame, scan = jpeg.index(b"\xff\xc0"), jpeg.index(b"\xff\xda")
    for number, name in enumerate(names):
        found[frame + 10 + 3 * number] = found[scan + 5 + 2 * number] = name
    return bytes(found)


@pytest.mark.parametrize(
    ("options", "names", "extras"),
    [
        (
            {},
            b"RGB",
            [(0xE0, b"JFIF\0\1\1\0\0\1\0\1\2\2secret words"), (0xE0, b"JFXX\0\x10secret")],
        ),
        # Their colours are not transformed, as one byte of it tells.
        (
            {"keep_rgb": True},
            b"\1\2\3",
            [(0xEE, b"Adobe\0d\0\0\0\0\0secret"), (0xEE, b"secret")],
        ),
    ],
)
def test_headers_tell_of_colours_alone(
    tmp_path: Path, options: dict[str, bool], names: bytes, extras: list[tuple[int, bytes]]
) -> None:
    """Thumbnails go, and whatever else lies in segments of their kind; pixels stay."""
    path, copy = tmp_path / "a.jpg", tmp_path / "copy.jpg"
    IMAGE.save(path, quality=95, **options)
    before = np.asarray(load_image(path))
    content = renamed(path.read_bytes(), names)
    for kind, extra in extras:
        segment = bytes([0xFF, kind]) + (len(extra) + 2).to_bytes(2, "big") + extra
        content = content[:2] + segment + content[2:]
    path.write_bytes(content)
    save_photo(path, copy, side=640)
    assert b"secret" not in copy.read_bytes()
    assert difference(copy, before) < 2


@pytest.mark.parametrize("kind", ["turned", "large", "cmyk", "png"])
def test_others_are_created_again(tmp_path: Path, kind: str) -> None:
    """As they are displayed, and no larger than asked for."""
    path, copy = tmp_path / "a.jpg", tmp_path / "copy.jpg"
    {
        "turned": lambda: IMAGE.save(path, exif=exif(6), quality=95),
        "large": lambda: IMAGE.resize((1000, 750)).save(path, exif=exif()),
        "cmyk": lambda: IMAGE.convert("CMYK").save(path),
        "png": lambda: IMAGE.save(path, "png", exif=exif()),
    }[kind]()
    save_photo(path, copy, side=640)
    shown = load_image(path)
    with Image.open(copy) as found:
        assert found.mode == "RGB"
        assert found.size == ((640, 480) if kind == "large" else shown.size)
        assert not found.getexif()
        assert "icc_profile" not in found.info
        pixels = np.asarray(found, float)
    changes = pixels - np.asarray(shown.resize(pixels.shape[1::-1]), float)
    assert np.abs(changes).mean() < 6


def test_a_second_image_in_the_file_is_left_out(tmp_path: Path) -> None:
    """As phones append one, with metadata of its own."""
    path, copy = tmp_path / "a.jpg", tmp_path / "copy.jpg"
    IMAGE.save(path)
    alone = path.read_bytes()
    IMAGE.save(path, exif=exif())
    path.write_bytes(alone + path.read_bytes())
    save_photo(path, copy, side=640)
    assert b"secret" not in copy.read_bytes()
    assert len(copy.read_bytes()) < 1.1 * len(alone)


def test_a_jpeg_that_is_cut_is_refused(tmp_path: Path) -> None:
    """The prediction has seen it whole; it has changed since."""
    path = tmp_path / "a.jpg"
    IMAGE.save(path)
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(ImageError, match="cannot be decoded as JPEG"):
        save_photo(path, tmp_path / "copy.jpg", side=640)
