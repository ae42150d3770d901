"""Memory of ``wsol predict`` with unusual and malicious images.

    python benchmarks/predict_memory.py

Predicts boxes twice in separate processes: for seven plain photographs, and for a text file named
.jpg, a truncated JPEG, an empty file, a CMYK JPEG, a 16-bit PNG, an image rotated by EXIF and a PNG
of 30,000 x 30,000 pixels. Prints the rows, the exit status and the peak memory of the largest
process of each, including decoding workers.
"""

import io
import json
import os
import struct
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from wsol.data.synthetic.toy import toy_images


def write_plain(folder: Path) -> None:
    """Write seven plain JPEG files."""
    for index, image in enumerate(toy_images(7, seed=0)):
        image.image.resize((500, 375)).save(folder / f"{index}.jpg")


def write_odd(folder: Path) -> None:
    """Write the seven unusual files."""
    image = next(toy_images(1, seed=0)).image.resize((500, 375))
    (folder / "text.jpg").write_text("no image")
    stream = io.BytesIO()
    image.save(stream, "JPEG")
    (folder / "truncated.jpg").write_bytes(stream.getvalue()[:4000])
    (folder / "empty.jpg").touch()
    image.convert("CMYK").save(folder / "cmyk.jpg")
    deep = np.asarray(image.convert("L"), np.uint16) * 257
    Image.fromarray(deep).save(folder / "sixteen_bit.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(folder / "turned.jpg", exif=exif)
    (folder / "huge.png").write_bytes(huge_png(30_000))


def huge_png(side: int) -> bytes:
    """Return a valid PNG of ``side`` x ``side`` black pixels in few bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(bytes(1 + side // 8)) for _ in range(side)) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def main() -> None:
    """Predict both folders and print one line each."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for kind, write in (("plain", write_plain), ("odd", write_odd)):
            (root / kind).mkdir()
            write(root / kind)
            out = root / f"{kind}-out"
            command = [sys.executable, "-m", "wsol", "predict", str(root / kind), "--out", str(out)]
            with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
                _, status, usage = os.wait4(process.pid, 0)
                process.returncode = os.waitstatus_to_exitcode(status)
            content = json.loads((out / "annotations.json").read_text())
            rows = content["images"] + content["errors"]
            print(f"{kind}: exit {process.returncode}, peak {usage.ru_maxrss / 1024:.0f} MB")
            for row in rows:
                print(f"  {row['file_name']}: {row['status']} {row.get('error', '')}")


if __name__ == "__main__":
    main()
