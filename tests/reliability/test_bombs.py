"""Small files that are huge images: refused from their header, in little memory."""

import io
import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image

from .support import Tally, coco_rows, digests

PEAK = """
import atexit, sys
def _peak():
    with open("/proc/self/status") as file:
        kilobytes = next(line.split()[1] for line in file if line.startswith("VmHWM"))
    sys.stderr.write(f"peak {kilobytes}\\n")
atexit.register(_peak)
"""
LIMIT = 50_000_000


def _chunk(kind: bytes, data: bytes) -> bytes:
    check = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)


def png(side: int, *more: bytes) -> bytes:
    """Return a PNG of black pixels in very few bytes, with more chunks before them."""
    packer = zlib.compressobj(9)
    line = bytes(1 + (side + 7) // 8)
    data = b"".join(packer.compress(line) for _ in range(side)) + packer.flush()
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0))
    start = b"\x89PNG\r\n\x1a\n" + header + b"".join(more)
    return start + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def _patched(kind: str, places: dict[int, bytes]) -> bytes:
    stream = io.BytesIO()
    Image.new("L", (16, 16)).save(stream, kind)
    data = bytearray(stream.getvalue())
    for place, value in places.items():
        data[place : place + len(value)] = value
    return bytes(data)


def jpeg() -> bytes:
    """Return a JPEG whose header states a side of 65,000."""
    place = _patched("JPEG", {}).index(b"\xff\xc0") + 5
    return _patched("JPEG", {place: struct.pack(">HH", 65_000, 65_000)})


def tiff() -> bytes:
    """Return a TIFF of 16 x 16 pixels in one tile of 12,000."""
    packed = zlib.compress(bytes(12_000 * 12_000), 9)
    tags = [(256, 16), (257, 16), (258, 8), (259, 8), (262, 1), (277, 1)]
    tags += [(322, 12_000), (323, 12_000), (324, 8 + 2 + 12 * 10 + 4), (325, len(packed))]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + packed


@pytest.fixture
def bombs() -> dict[str, bytes]:
    """Return files that would take a hundred times their size, or for ever."""
    wide = struct.pack("<HH", 60_000, 60_000)
    return {
        "image.png": png(30_000),
        "text.png": png(8, _chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(200_000_000), 9))),
        "profile.png": png(8, _chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(200_000_000), 9))),
        "image.jpg": jpeg(),
        "screen.gif": _patched("GIF", {6: wide}),
        "image.bmp": _patched("BMP", {18: struct.pack("<ii", 60_000, 60_000)}),
        "image.ppm": b"P5 60000 60000 255\n",
        "tile.tif": tiff(),
    }


def test_bombs_are_refused_in_little_memory(
    bombs: dict[str, bytes], predict: tuple, tally: Tally, tmp_path: Path
) -> None:
    """The peak of the whole command rises by less than 50 MB."""
    if not Path("/proc/self/status").is_file():
        pytest.skip("this system does not tell the peak of a process's memory")
    plain, mixed = tmp_path / "plain", tmp_path / "mixed"
    for folder in (plain, mixed):
        folder.mkdir()
        Image.radial_gradient("L").save(folder / "good.png")
    for name, data in bombs.items():
        assert len(data) < 1_500_000
        (mixed / name).write_bytes(data)
    before = digests(mixed)
    peaks = []
    for folder in (plain, mixed):
        out = tmp_path / f"{folder.name}-out"
        done = tally.command(*predict, folder, "--out", out, "--num_workers", 0, patch=PEAK)
        peaks.append(1024 * int(done.err.split("peak ")[1].split()[0]))
    tally.unchanged(before)
    tally.tried(len(bombs))
    assert peaks[1] - peaks[0] < LIMIT
    assert done.status == 3
    rows = coco_rows(tmp_path / "mixed-out")
    tally.rows(["good.png", *bombs], rows)
    errors = {name: row["error"] for name, row in rows.items() if row["status"] == "error"}
    assert errors.keys() >= bombs.keys() - {"profile.png"}
    assert "30000 x 30000 pixels exceed the limit of 50,000,000" in errors["image.png"]
    assert "12000 x 12000 pixels" in errors["tile.tif"]


def test_the_limit_is_an_option(predict: tuple, tally: Tally, tmp_path: Path) -> None:
    """The last size that is read, and the first that is not."""
    (tmp_path / "a.png").write_bytes(png(100))
    for limit, status in ((10_000, 0), (9_999, 3)):
        options = ("--out", tmp_path / str(limit), "--max_pixels", limit, "--num_workers", 0)
        assert tally.inside(*predict, tmp_path / "a.png", *options).status == status
