"""What is object, background and ignored in the files of masks."""

import zlib
from pathlib import Path
from struct import pack
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from wsol.data.annotations import MaskFiles
from wsol.data.annotations.masks import nearest, read_mask
from wsol.errors import DataError, ImageError


def save(folder: Path, name: str, values: list[list[int]], mode: str | None = None) -> Path:
    """Write a mask of gray levels, in a mode of its own if one is given."""
    image = Image.fromarray(np.array(values, np.uint8))
    (image if mode is None else image.convert(mode)).save(folder / name)
    return folder / name


def one(path: Path, ignore_value: int | None = None) -> list[list[int]]:
    """Read the mask of one file."""
    return read_mask(MaskFiles((path,)), ignore_value=ignore_value).tolist()


@pytest.mark.parametrize("levels", [[0, 1], [0, 255], [0, 7, 9], [1], [0]])
def test_what_is_not_0_is_an_object(tmp_path: Path, levels: list[int]) -> None:
    """Whatever number a binary mask or a mask of instances has for it."""
    assert one(save(tmp_path, "a.png", [levels])) == [[int(level > 0) for level in levels]]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "RGB", "RGBA", "P", "I;16"])
def test_every_mode_of_png(tmp_path: Path, mode: str) -> None:
    """Gray, colours, with or without transparency, and one bit."""
    path = save(tmp_path, "a.png", [[0, 255, 255], [255, 0, 0]], mode)
    assert one(path) == [[0, 1, 1], [1, 0, 0]]


def test_of_a_palette_the_entry_counts(tmp_path: Path) -> None:
    """Entry 0 is background even if it is painted, as entry 255 is its own number."""
    image = Image.fromarray(np.array([[0, 1, 2, 255]], np.uint8), mode=None)
    image = Image.frombytes("P", (4, 1), image.tobytes())
    image.putpalette([200, 200, 200, 0, 0, 0, 9, 9, 9, *[0] * 759])
    image.save(tmp_path / "a.png")
    assert one(tmp_path / "a.png", ignore_value=255) == [[0, 1, 1, 255]]


def painted(folder: Path, pixels: list[tuple[int, ...]], **options: Any) -> Path:
    """Write a mask of one row of colors, with alpha where they have two or four numbers."""
    mode = {2: "LA", 3: "RGB", 4: "RGBA"}[len(pixels[0])]
    image = Image.new(mode, (len(pixels), 1))
    image.putdata(pixels)
    image.save(folder / "a.png", **options)
    return folder / "a.png"


@pytest.mark.parametrize(
    ("pixels", "expected"),
    [
        # Instance numbers in one channel, whose gray level is 0.
        ([(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 2), (255, 0, 255)], [0, 1, 1, 1, 1]),
        ([(0, 0, 0, 255), (0, 0, 2, 255)], [0, 1]),
        # Transparency decides: black or white objects, and backgrounds of any color.
        ([(0, 0, 0, 0), (0, 0, 0, 255)], [0, 1]),
        ([(255, 255, 255, 0), (255, 255, 255, 255)], [0, 1]),
        ([(9, 8, 7, 0), (1, 0, 0, 3)], [0, 1]),
        ([(0, 0), (0, 255)], [0, 1]),
        ([(255, 0), (255, 255)], [0, 1]),
        ([(0, 0, 0, 0), (0, 0, 0, 0)], [0, 0]),
    ],
)
def test_colors_and_transparency_keep_their_objects(
    tmp_path: Path, pixels: list[tuple[int, ...]], expected: list[int]
) -> None:
    """A color is an object unless it is black, and an opaque pixel beside transparent ones is."""
    assert one(painted(tmp_path, pixels)) == [expected]


def test_one_gray_level_may_be_transparent(tmp_path: Path) -> None:
    """Gray and palette files name the level or the entries that are transparent."""
    image = Image.fromarray(np.array([[0, 255, 255]], np.uint8))
    image.save(tmp_path / "a.png", transparency=255)
    assert one(tmp_path / "a.png") == [[1, 0, 0]]
    image = Image.frombytes("P", (3, 1), bytes([0, 1, 1]))
    image.putpalette([0, 0, 0, 255, 255, 255])
    image.save(tmp_path / "a.png", transparency=1)
    assert one(tmp_path / "a.png") == [[1, 0, 0]]
    image.save(tmp_path / "a.png", transparency=0)
    assert one(tmp_path / "a.png") == [[0, 1, 1]]
    deep = Image.fromarray(np.array([[0, 300, 7]], np.uint16))
    deep.save(tmp_path / "a.png", transparency=300)
    with pytest.raises(DataError, match=r"a\.png"):
        one(tmp_path / "a.png")
    deep.save(tmp_path / "a.png", transparency=0)
    assert one(tmp_path / "a.png") == [[0, 1, 1]]


def test_only_white_is_255_in_colors(tmp_path: Path) -> None:
    """A color that has a channel of 255 is no value to ignore."""
    path = painted(tmp_path, [(0, 0, 0), (255, 0, 0), (0, 0, 255), (255, 255, 255)])
    assert one(path, ignore_value=255) == [[0, 1, 1, 255]]
    with pytest.raises(DataError, match="ignore_value"):
        one(path)


@pytest.mark.parametrize(
    "pixels",
    [
        # Opaque black may be the object's or background, or values lie under the transparency.
        [(0, 0, 0, 0), (0, 0, 0, 255), (9, 9, 9, 255)],
        [(9, 9, 9, 0), (0, 0, 0, 0)],
    ],
)
def test_transparency_that_contradicts_the_colors_is_refused(
    tmp_path: Path, pixels: list[tuple[int, ...]]
) -> None:
    """Which of both is meant cannot be known."""
    with pytest.raises(DataError, match=r"a\.png"):
        one(painted(tmp_path, pixels))


@pytest.mark.parametrize(("kind", "channels"), [(2, 3), (6, 4), (4, 2)])
def test_colors_of_16_bits_are_refused(tmp_path: Path, kind: int, channels: int) -> None:
    """Pillow drops their lower 8 bits, and with them small numbers of instances."""

    def chunk(name: bytes, data: bytes) -> bytes:
        crc = pack(">I", zlib.crc32(name + data))
        return pack(">I", len(data)) + name + data + crc

    pixels = pack(">" + "H" * channels, *[1, 0, 0, 65535][:channels])
    header = chunk(b"IHDR", pack(">IIBBBBB", 1, 1, 16, kind, 0, 0, 0))
    content = header + chunk(b"IDAT", zlib.compress(b"\0" + pixels)) + chunk(b"IEND", b"")
    path = tmp_path / "a.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + content)
    with pytest.raises(DataError, match=r"a\.png"):
        one(path)


def test_jpeg_is_refused(tmp_path: Path) -> None:
    """Its pixels around an object have small values that the mask had not."""
    path = tmp_path / "a.jpg"
    Image.new("L", (8, 8), 255).save(path)
    with pytest.raises(DataError, match=r"a\.jpg"):
        one(path)


@pytest.mark.parametrize(
    ("ignore_value", "expected"), [(255, [[0, 1, 255]]), (-1, [[0, 1, 1]]), (1, [[0, 255, 1]])]
)
def test_255_beside_others_has_to_be_told(
    tmp_path: Path, ignore_value: int, expected: list[list[int]]
) -> None:
    """It may be an object or mean ignored; guessing would move figures."""
    path = save(tmp_path, "a.png", [[0, 1, 255]])
    with pytest.raises(DataError, match=r"a\.png: contains 255 .* --ignore_value 255"):
        one(path)
    assert one(path, ignore_value) == expected


def test_several_files_are_one_mask(tmp_path: Path) -> None:
    """The union of objects, less of what is ignored, as the published code has it."""
    first = save(tmp_path, "1.png", [[1, 0, 0, 0]])
    second = save(tmp_path, "2.png", [[0, 255, 0, 0]])
    ignore = save(tmp_path, "i.png", [[255, 255, 1, 0]], "RGB")
    mask = read_mask(MaskFiles((first, second), ignore))
    assert mask.tolist() == [[1, 1, 255, 0]]
    assert mask.dtype == np.uint8


def test_files_of_other_sizes_are_resized_each(tmp_path: Path) -> None:
    """To the size asked for, width first, or to that of the first file."""
    first = save(tmp_path, "1.png", [[1, 0], [0, 0]])
    ignore = save(tmp_path, "i.png", [[0, 0, 0, 0], [0, 0, 0, 9]])
    files = MaskFiles((first,), ignore)
    assert read_mask(files, (4, 2)).tolist() == [[1, 1, 0, 0], [0, 0, 0, 255]]
    assert read_mask(files).tolist() == [[1, 0], [0, 0]]


def test_a_broken_mask_is_named(tmp_path: Path) -> None:
    """An error of its file, also where it is too large."""
    path = save(tmp_path, "a.png", [[1, 0], [0, 0]])
    with pytest.raises(ImageError, match=r"a\.png: .*limit of 3"):
        read_mask(MaskFiles((path,)), max_pixels=3)
    path.write_bytes(path.read_bytes()[:44])
    with pytest.raises(ImageError, match=r"a\.png"):
        one(path)


@given(st.integers(1, 700), st.integers(1, 700), st.integers(1, 400), st.integers(1, 400))
def test_nearest_pixels_are_those_of_opencv(height: int, width: int, w: int, h: int) -> None:
    """Every pixel of every size comes from the same place as in the published code."""
    places: NDArray[np.generic] = np.arange(height * width, dtype=np.float32).reshape(height, width)
    expected = cv2.resize(places, (w, h), interpolation=cv2.INTER_NEAREST)
    assert np.array_equal(nearest(places, (w, h)), expected)
