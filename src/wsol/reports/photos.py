"""A report's copy of a photograph."""

import re
from pathlib import Path

from PIL import Image, JpegImagePlugin

from wsol.data.decode import MAX_PIXELS, open_image, orientation
from wsol.data.images import decode_image
from wsol.data.sources import open_source

_START, _SCAN, _END = b"\xff\xd8", 0xDA, 0xD9

_MARKER = re.compile(rb"\xff+([^\x00\xff])", re.DOTALL)

_PIXELS = re.compile(rb"(?:[^\xff]+|\xff[\x00\xd0-\xd7])*+", re.DOTALL)
"""What follows a scan's header: no marker but those that restart the decoder."""

_JFIF = b"\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"
_ADOBE = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00"
"""Segments for applications that tell how colours are stored: a thumbnail of no pixels ends the
first, and the second lacks its last byte, which says whether they are transformed."""


def save_photo(path: Path, copy: Path, side: int, max_pixels: int = MAX_PIXELS) -> None:
    """Write a JPEG of a photograph, at most so large, as it is displayed, without metadata.

    A JPEG that is small enough is not compressed again: what it says beside its pixels is left out.

    Args:
        path: of the photograph.
        copy: to write.
        side: longest side in pixels.
        max_pixels: larger photographs are not decoded.

    Raises:
        ImageError: the photograph cannot be read.
    """
    content = _plain(path, side, max_pixels)
    if content is not None:
        copy.write_bytes(content)
        return
    image, _ = decode_image(path, max_pixels, least_side=side)
    image.thumbnail((side, side), Image.Resampling.BICUBIC, reducing_gap=2.0)
    image.save(copy, "jpeg", quality=82)


def _plain(path: Path, side: int, max_pixels: int) -> bytes | None:
    """Return a JPEG's bytes without metadata, or None where it must be decoded."""
    with open_image(path, max_pixels) as image:
        fits = max(image.size) <= side and orientation(image) == 1
        # Browsers show inks as they like.
        plain = image.mode in ("L", "RGB")
        if not (isinstance(image, JpegImagePlugin.JpegImageFile) and fits and plain):
            return None
    with open_source(path) as file:
        return without_metadata(file.read())


def without_metadata(jpeg: bytes) -> bytes | None:
    """Return a JPEG without comments and what applications have added; None if it is not whole.

    Args:
        jpeg: content of the file.

    >>> from io import BytesIO
    >>> file = BytesIO()
    >>> Image.new("RGB", (8, 8)).save(file, "jpeg", comment=b"secret")
    >>> plain = without_metadata(file.getvalue())
    >>> b"secret" in plain, Image.open(BytesIO(plain)).size
    (False, (8, 8))
    """
    kept, place = [_START], 2
    if not jpeg.startswith(_START):
        return None
    while marker := _MARKER.match(jpeg, place):
        kind, start = marker[1][0], marker.end()
        if kind == _END:
            # Some cameras append another picture, with metadata of its own.
            return b"".join([*kept, b"\xff\xd9"])
        end = start + int.from_bytes(jpeg[start : start + 2], "big")
        if kind == _SCAN and (pixels := _PIXELS.match(jpeg, end)):
            end = pixels.end()
        is_extra = kind == 0xFE or 0xE0 <= kind <= 0xEF
        segment = jpeg[start - 1 : end]
        kept.append(_colours(segment) if is_extra else b"\xff" + segment)
        place = end
    return None


def _colours(segment: bytes) -> bytes:
    """Return what a segment tells of how colours are stored, without whatever else it has."""
    kind, content = segment[0], segment[3:]
    if kind == 0xE0 and content.startswith(b"JFIF\0") and len(content) >= 14:
        return _JFIF
    if kind == 0xEE and content.startswith(b"Adobe") and len(content) >= 12:
        return _ADOBE + content[11:12]
    return b""
