"""The image loader gives the displayed image or an ImageError, nothing else."""

import io
import os
import random
import struct
import subprocess
import sys
import textwrap
import warnings
import zlib
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from PIL import Image, ImageFile
from PIL.PngImagePlugin import PngInfo

from wsol.data.images import load_image, read_image_size
from wsol.data.loader import decode_pixels
from wsol.errors import ImageError

KINDS = ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF", "JPEG2000"]


def png_chunk(kind: bytes, data: bytes) -> bytes:
    """Return one chunk with its length and checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def flat_png(side: int) -> bytes:
    """Build an all-black 8-bit gray PNG from one deflated thirtieth, repeated."""
    assert side % 30 == 0
    squeeze = zlib.compressobj(9, wbits=-15)
    part = squeeze.compress(bytes(side // 30 * (side + 1))) + squeeze.flush(zlib.Z_FULL_FLUSH)
    checksum = side * (side + 1) % 65521 << 16 | 1
    data = b"\x78\xda" + part * 30 + b"\x03\x00" + struct.pack(">I", checksum)
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", header)
        + png_chunk(b"IDAT", data)
        + png_chunk(b"IEND", b"")
    )


def tiled_tiff(size: int, tile: int) -> bytes:
    """Build a gray TIFF of size x size pixels, deflated as one tile of tile x tile pixels."""
    data = zlib.compress(bytes(tile * tile), 9)
    values = [
        (256, 4, size),
        (257, 4, size),
        (258, 3, 8),
        (259, 3, 8),
        (262, 3, 1),
        (277, 3, 1),
        (322, 4, tile),
        (323, 4, tile),
        (324, 4, 8 + 2 + 12 * 10 + 4),
        (325, 4, len(data)),
    ]
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in values)
    start = b"II*\0" + struct.pack("<IH", 8, len(values))
    return start + entries + struct.pack("<I", 0) + data


def photo(width: int = 64, height: int = 48) -> Image.Image:
    """Return a smooth colour image in which no two corners look alike."""
    y, x = np.mgrid[:height, :width]
    channels = [x * 255 / width, y * 255 / height, (x + y) * 255 / (width + height)]
    return Image.fromarray(np.stack(channels, -1).astype(np.uint8))


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    """Return the bytes of an image in a file format."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def load(folder: Path, data: bytes, **options: int) -> np.ndarray:
    """Load these bytes from a file and return the pixels."""
    file = folder / "image"
    file.write_bytes(data)
    image = load_image(file, **options)
    assert image.mode == "RGB"
    assert not image.info
    return np.asarray(image)


def refusal(folder: Path, data: bytes, **options: int) -> str:
    """Return the reason for which these bytes are refused."""
    with pytest.raises(ImageError) as caught:
        load(folder, data, **options)
    assert caught.value.path == folder / "image"
    assert "\n" not in caught.value.reason
    return caught.value.reason


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM"])
def test_lossless_formats_keep_every_pixel(tmp_path: Path, kind: str) -> None:
    """Lossless formats keep every pixel."""
    assert np.array_equal(load(tmp_path, encoded(photo(), kind)), np.asarray(photo()))


@pytest.mark.parametrize("alpha", [0, 128, 255])
def test_a_bmp_without_alpha_in_its_fourth_byte_has_colours(tmp_path: Path, alpha: int) -> None:
    """All of it transparent is a byte that nobody has filled; with anything in it, it is alpha."""
    image = photo()
    image.putalpha(alpha)
    if alpha == 128:
        image.putpixel((0, 0), (1, 2, 3, 0))
    rows = np.asarray(image)[::-1, :, [2, 1, 0, 3]].tobytes()
    masks = struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    header = struct.pack("<IiiHHIIiiII", 108, 64, 48, 1, 32, 3, len(rows), 0, 0, 0, 0) + masks
    start = b"BM" + struct.pack("<IHHI", 122 + len(rows), 0, 0, 122)
    data = start + header.ljust(108, b"\0") + rows
    expected = np.asarray(photo()) if alpha != 128 else load(tmp_path, encoded(image, "PNG"))
    assert np.array_equal(load(tmp_path, data), expected)


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_lossy_formats_are_near(tmp_path: Path, kind: str) -> None:
    """Lossy formats are near."""
    loaded = load(tmp_path, encoded(photo(), kind, quality=95))
    assert np.abs(loaded.astype(int) - np.asarray(photo())).mean() < 3


# Where the first row and column of the file appear, from the EXIF standard.
STORED = {
    1: lambda shown, r, c: shown[r, c],
    2: lambda shown, r, c: shown[r, -1 - c],
    3: lambda shown, r, c: shown[-1 - r, -1 - c],
    4: lambda shown, r, c: shown[-1 - r, c],
    5: lambda shown, r, c: shown[c, r],
    6: lambda shown, r, c: shown[c, -1 - r],
    7: lambda shown, r, c: shown[-1 - c, -1 - r],
    8: lambda shown, r, c: shown[-1 - c, r],
}


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize(
    ("kind", "options", "tolerance"),
    [
        ("PNG", {}, 0),
        ("WEBP", {"lossless": True}, 0),
        ("TIFF", {}, 0),
        ("TIFF", {"compression": "tiff_lzw"}, 0),
        ("JPEG", {"quality": 100, "subsampling": 0}, 6),
    ],
)
def test_every_orientation_gives_the_displayed_image(
    tmp_path: Path, orientation: int, kind: str, options: dict[str, object], tolerance: int
) -> None:
    """Whatever way a file stores the image, the same one is displayed."""
    shown = np.asarray(photo())
    height, width = shown.shape[:2] if orientation < 5 else shown.shape[1::-1]
    rows, columns = np.mgrid[:height, :width]
    stored = Image.fromarray(STORED[orientation](shown, rows, columns))
    exif = Image.Exif()
    exif[0x0112] = orientation
    loaded = load(tmp_path, encoded(stored, kind, exif=exif, **options))
    assert loaded.shape == shown.shape
    assert np.abs(loaded.astype(int) - shown).max() <= tolerance


XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
    b'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
    b'xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
)


@pytest.mark.parametrize("has_exif", [False, True])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_an_orientation_in_xmp_alone_changes_nothing(
    tmp_path: Path, kind: str, has_exif: bool
) -> None:
    """EXIF alone says how an image is displayed, in every reader."""
    text = PngInfo()
    text.add_itxt("XML:com.adobe.xmp", XMP.decode())
    options: dict[str, object] = {
        "TIFF": {"tiffinfo": {700: XMP}},
        "PNG": {"pnginfo": text},
    }.get(kind, {"xmp": XMP})
    if has_exif:
        options["exif"] = Image.Exif()
        options["exif"][0x010F] = "a camera"
    data = encoded(photo(), kind, **options)
    assert Image.open(io.BytesIO(data)).getexif()[0x0112] == 6
    assert load(tmp_path, data).shape == (48, 64, 3)
    assert read_image_size(tmp_path / "image") == (64, 48)
    assert decode_pixels(tmp_path / "image").pixels.shape == (48, 64, 3)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("AVIF", {"quality": 95}),
        ("JPEG2000", {}),
        ("JPEG2000", {"no_jp2": True}),
    ],
)
def test_formats_of_phones_and_archives_are_read(
    tmp_path: Path, kind: str, options: dict[str, object]
) -> None:
    """AVIF and JPEG 2000, the latter also as a bare codestream."""
    loaded = load(tmp_path, encoded(photo(), kind, **options))
    assert np.abs(loaded.astype(int) - np.asarray(photo())).mean() < 3


def test_an_avif_whose_own_brand_comes_second_is_read(tmp_path: Path) -> None:
    """Its first brand is one that HEIF uses too."""
    data = encoded(photo(), "AVIF", quality=95)
    brands = data[16 : int.from_bytes(data[:4])]
    assert b"mif1" in brands
    assert b"avif" in brands
    assert load(tmp_path, data[:8] + b"mif1" + data[12:]).shape == (48, 64, 3)


@pytest.mark.parametrize("orientation", [1, 6])
def test_heif_is_read_where_its_reader_is_installed(tmp_path: Path, orientation: int) -> None:
    """As displayed; its reader turns it."""
    pillow_heif = pytest.importorskip("pillow_heif")
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    pillow_heif.from_pillow(photo()).save(buffer, format="HEIF", exif=exif.tobytes(), quality=95)
    loaded = load(tmp_path, buffer.getvalue())
    shown = np.asarray(photo()) if orientation == 1 else np.rot90(np.asarray(photo()), -1)
    assert loaded.shape == shown.shape
    assert np.abs(loaded.astype(int) - shown).mean() < 4


HEIF = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"


def test_heif_goes_through_its_reader_and_the_size_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in for pillow-heif that reads nothing but a size."""

    class HeifImageFile(ImageFile.ImageFile):
        def _open(self) -> None:
            self._size, self._mode = (300, 200), "RGB"

        def load(self) -> None:
            self.im = Image.core.fill("RGB", self.size, (1, 2, 3))

    monkeypatch.setitem(sys.modules, "pillow_heif", SimpleNamespace(HeifImageFile=HeifImageFile))
    assert load(tmp_path, HEIF)[0, 0].tolist() == [1, 2, 3]
    assert "59,999" in refusal(tmp_path, HEIF, max_pixels=59_999)


def test_heif_without_its_reader_names_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing else can be done about it here."""
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    assert 'pip install "wsol[heif]"' in refusal(tmp_path, HEIF)


def test_a_jpeg_2000_that_hides_its_size_is_refused(tmp_path: Path) -> None:
    """The file's header says 64 x 48, and the codestream, which is decoded, 40,000 x 40,000."""
    data = encoded(photo(), "JPEG2000")
    place = data.index(b"\xff\x4f\xff\x51") + 8
    assert data[place : place + 8] == struct.pack(">II", 64, 48)
    large = data[:place] + struct.pack(">II", 40_000, 40_000) + data[place + 8 :]
    assert "40000 x 40000" in refusal(tmp_path, large)
    # A second codestream with many components, of which Pillow reads the first.
    many = struct.pack(">HHIIIIIIIIH", 47, 0, *([8] * 2), *([0] * 2), *([8] * 2), 0, 0, 16_384)
    assert "components" in refusal(tmp_path, data + b"\xff\x4f\xff\x51" + many)


def test_an_unknown_orientation_changes_nothing(tmp_path: Path) -> None:
    """An unknown orientation changes nothing."""
    exif = Image.Exif()
    exif[0x0112] = 9
    assert np.array_equal(load(tmp_path, encoded(photo(), "PNG", exif=exif)), np.asarray(photo()))


@pytest.mark.parametrize(("kind", "mode"), [("PNG", "I;16"), ("TIFF", "I;16"), ("TIFF", "I;16B")])
def test_a_16_bit_ramp_equals_its_8_bit_twin(tmp_path: Path, kind: str, mode: str) -> None:
    """16 bits are scaled to 8, neither clipped nor wrapped."""
    ramp = np.linspace(0, 65535, 64 * 48).reshape(48, 64).astype(np.uint16)
    raw = ramp.astype(">u2" if mode.endswith("B") else "<u2").tobytes()
    deep = load(tmp_path, encoded(Image.frombytes(mode, (64, 48), raw), kind))
    flat = load(tmp_path, encoded(Image.fromarray((ramp >> 8).astype(np.uint8)), kind))
    assert np.abs(deep.astype(int) - flat).max() <= 1
    assert (deep.min(), deep.max()) == (0, 255)


def test_a_dark_16_bit_image_stays_dark(tmp_path: Path) -> None:
    """A dark 16 bit image stays dark."""
    deep = Image.frombytes("I;16", (2, 1), struct.pack("<2H", 257, 514))
    assert load(tmp_path, encoded(deep, "PNG"))[0, :, 0].tolist() == [1, 2]


def test_16_bit_pgm_is_scaled_by_its_stated_maximum(tmp_path: Path) -> None:
    """16 bit PGM is scaled by its stated maximum."""
    data = b"P5 3 1 1023\n" + struct.pack(">3H", 0, 512, 1023)
    assert load(tmp_path, data)[0, :, 0].tolist() == [0, 128, 255]


def test_32_bit_integers_beyond_16_bits_are_scaled_by_their_maximum(tmp_path: Path) -> None:
    """32 bit integers beyond 16 bits are scaled by their maximum."""
    image = Image.frombytes("I", (3, 1), struct.pack("=3i", -5, 100_000, 200_000))
    assert load(tmp_path, encoded(image, "TIFF"))[0, :, 0].tolist() == [0, 128, 255]


@pytest.mark.parametrize("white", [1.0, 255.0, 65535.0, 1e9])
def test_floats_find_their_white(tmp_path: Path, white: float) -> None:
    """Floats find their white, and what is not finite is black."""
    values = np.array([[0, 0.5 * white, white, -white, np.nan, np.inf]], dtype=np.float32)
    loaded = load(tmp_path, encoded(Image.fromarray(values), "TIFF"))
    assert loaded[0, :, 0].tolist() == [0, 128, 255, 0, 0, 0]


@pytest.mark.parametrize(
    ("image", "kind", "expected"),
    [
        (Image.new("L", (2, 2), 77), "PNG", (77, 77, 77)),
        (Image.new("1", (2, 2), 1), "PNG", (255, 255, 255)),
        (Image.new("1", (2, 2), 1), "TIFF", (255, 255, 255)),
        (Image.new("LA", (2, 2), (0, 0)), "PNG", (255, 255, 255)),
        (Image.new("LA", (2, 2), (0, 255)), "PNG", (0, 0, 0)),
        (Image.new("RGBA", (2, 2), (255, 0, 0, 255)), "PNG", (255, 0, 0)),
        (Image.new("RGBA", (2, 2), (255, 0, 0, 0)), "PNG", (255, 255, 255)),
        (Image.new("RGBA", (2, 2), (255, 0, 0, 51)), "PNG", (255, 204, 204)),
        (Image.new("RGBA", (2, 2), (255, 0, 0, 0)), "WEBP", (255, 255, 255)),
        (Image.new("CMYK", (2, 2), (255, 0, 0, 0)), "TIFF", (0, 255, 255)),
        (Image.new("YCbCr", (2, 2), (76, 85, 255)), "TIFF", (254, 0, 0)),
        (Image.new("LAB", (2, 2), (255, 128, 128)), "TIFF", (255, 255, 255)),
        (Image.new("LAB", (2, 2), (0, 128, 128)), "TIFF", (0, 0, 0)),
    ],
)
def test_every_mode_gives_its_colour(
    tmp_path: Path, image: Image.Image, kind: str, expected: tuple[int, int, int]
) -> None:
    """Every mode gives its colour."""
    options = {"lossless": True} if kind == "WEBP" else {}
    loaded = load(tmp_path, encoded(image, kind, **options))
    assert np.abs(loaded[1, 1].astype(int) - expected).max() <= 1


@pytest.mark.parametrize("transparency", [2, bytes([255, 255, 0, 51])])
def test_a_palette_with_transparency_lies_on_white(
    tmp_path: Path, transparency: int | bytes
) -> None:
    """A palette with transparency lies on white."""
    image = Image.frombytes("P", (4, 1), bytes([0, 1, 2, 3]))
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0])
    loaded = load(tmp_path, encoded(image, "PNG", transparency=transparency))
    last = [204, 204, 204] if isinstance(transparency, bytes) else [0, 0, 0]
    assert loaded[0].tolist() == [[255, 0, 0], [0, 255, 0], [255, 255, 255], last]


def test_a_transparent_gray_level_lies_on_white(tmp_path: Path) -> None:
    """A transparent gray level lies on white."""
    image = Image.frombytes("L", (2, 1), bytes([0, 60]))
    assert load(tmp_path, encoded(image, "PNG", transparency=0))[0, :, 0].tolist() == [255, 60]


@pytest.mark.parametrize("colour", [(255, 0, 0, 0), (0, 255, 0, 0), (0, 0, 255, 0), (0, 0, 0, 200)])
def test_cmyk_jpeg_has_the_colours_that_opencv_sees(
    tmp_path: Path, colour: tuple[int, int, int, int]
) -> None:
    """CMYK in JPEG has the polarity that OpenCV sees."""
    data = encoded(Image.new("CMYK", (32, 32), colour), "JPEG", quality=95)
    reference = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    assert np.abs(load(tmp_path, data).astype(int) - reference).max() <= 3


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_the_first_of_several_frames_is_taken(tmp_path: Path, kind: str) -> None:
    """The first of several frames is taken."""
    colours = ["red", "green", "blue", "white", "black"]
    frames = [Image.new("RGB", (8, 6), colour) for colour in colours]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    assert (load(tmp_path, data) == [255, 0, 0]).all()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "the file is empty"),
        (b"To whom it may concern", "not an image file of a known format (JPEG, PNG, WEBP, "),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image file of a known format"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "not an image file of a known format"),
        (b"\xff\xd8\xff", "cannot be decoded as JPEG"),
        (b"P6 0 0 255\n", "cannot be decoded as PPM"),
    ],
)
def test_what_is_no_image_is_refused(tmp_path: Path, data: bytes, reason: str) -> None:
    """What is no image is refused."""
    assert refusal(tmp_path, data).startswith(reason)


def test_formats_off_the_list_are_refused(tmp_path: Path) -> None:
    """Formats off the list are refused."""
    for kind in ("ICO", "TGA", "PCX", "ICNS", "DDS"):
        assert "known format" in refusal(tmp_path, encoded(photo(), kind))


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    """What is no file is refused."""
    with pytest.raises(ImageError, match="no such file"):
        load_image(tmp_path / "missing.jpg")
    with pytest.raises(ImageError, match="is a folder"):
        load_image(tmp_path)
    with pytest.raises(ImageError, match="cannot be opened"):
        load_image("a\0b.jpg")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_a_pipe_does_not_block(tmp_path: Path) -> None:
    """A named pipe is refused rather than waited for."""
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(ImageError, match="not a regular file"):
        load_image(tmp_path / "pipe.jpg")


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_cut_anywhere_in_its_pixels_is_refused(tmp_path: Path, kind: str) -> None:
    """A file cut anywhere in its pixels is refused."""
    noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise), kind)
    for share in (0.3, 0.5, 0.8, 0.95):
        assert kind in refusal(tmp_path, data[: int(share * len(data))])


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_bytes_give_an_image_or_an_image_error(tmp_path: Path, kind: str) -> None:
    """Damaged bytes give an image or an image error."""
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(photo(), kind, exif=exif)
    rng = random.Random(kind)
    refused = 0
    for _ in range(200):
        damaged = bytearray(data)
        # Half the flips lie in the header, where they do most harm.
        for _ in range(rng.randint(1, 8)):
            end = rng.choice([min(200, len(data)), len(data)])
            damaged[rng.randrange(end)] = rng.randrange(256)
        if rng.random() < 0.3:
            del damaged[rng.randrange(len(data)) :]
        try:
            load(tmp_path, bytes(damaged), max_pixels=1_000_000)
        except ImageError:
            refused += 1
    assert refused >= 20


def test_the_limit_is_the_last_size_that_is_read(tmp_path: Path) -> None:
    """The limit is the last size that is read."""
    data = encoded(photo(20, 10), "PNG")
    assert load(tmp_path, data, max_pixels=200).shape == (10, 20, 3)
    reason = refusal(tmp_path, data, max_pixels=199)
    assert reason == "20 x 10 pixels exceed the limit of 199; raise max_pixels to read it"


def test_pillow_s_own_limit_plays_no_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow's own limit plays no part."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert load(tmp_path, encoded(photo(20, 20), "PNG")).shape == (20, 20, 3)
    assert load(tmp_path, encoded(photo(20, 20), "JPEG")).shape == (20, 20, 3)
    assert load(tmp_path, encoded(photo(15, 10), "TIFF")).shape == (10, 15, 3)
    assert "20 x 20 pixels" in refusal(tmp_path, encoded(photo(20, 20), "PNG"), max_pixels=300)


def test_loading_changes_nothing_in_pillow(tmp_path: Path) -> None:
    """Loading leaves Pillow's switches and the warning filters as they were."""
    before = [Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, list(warnings.filters)]
    load(tmp_path, encoded(photo(), "JPEG"))
    after = [Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, list(warnings.filters)]
    assert after == before


def test_the_bombs_are_images_but_for_their_size(tmp_path: Path) -> None:
    """The bombs are images but for their size."""
    assert load(tmp_path, flat_png(300)).shape == (300, 300, 3)
    assert load(tmp_path, tiled_tiff(16, 64)).shape == (16, 16, 3)


@pytest.mark.skipif(sys.platform == "win32", reason="no resource limits on this system")
@pytest.mark.parametrize("bomb", ["image", "tile"])
def test_a_bomb_is_refused_in_little_memory(tmp_path: Path, bomb: str) -> None:
    """A bomb is refused in little memory."""
    data = flat_png(30_000) if bomb == "image" else tiled_tiff(16, 12_000)
    file = tmp_path / "bomb"
    file.write_bytes(data)
    assert len(data) < 2_000_000
    # A process of its own, as the peak of this one may lie far behind.
    script = """
        import resource, sys
        from wsol.data.images import load_image
        from wsol.errors import ImageError
        peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        unit = 1 if sys.platform == "darwin" else 1024
        before = peak()
        resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
        try:
            load_image(sys.argv[1])
        except ImageError as error:
            print((peak() - before) * unit, error.reason)
    """
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(script), str(file)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert run.stderr == ""
    growth, reason = run.stdout.split(maxsplit=1)
    assert int(growth) < 50_000_000
    assert reason.startswith(("30000 x 30000 pixels", "12000 x 12000 pixels"))


def test_real_photographs_equal_what_pillow_reads(cub_root: Path) -> None:
    """Photographs without orientation equal what Pillow's own open() reads."""
    for file in sorted((cub_root / "images").rglob("*.jpg"))[::60]:
        with Image.open(file) as image:
            assert np.array_equal(np.asarray(load_image(file)), np.asarray(image.convert("RGB")))
