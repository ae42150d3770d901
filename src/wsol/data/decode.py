"""The one way image files are opened: by content, with a limit, and with one kind of error."""

import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from PIL import (
    BmpImagePlugin,
    ExifTags,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from wsol.data.source import Picture, name_of, open_source
from wsol.errors import ImageError

MAX_PIXELS: Final = 50_000_000
"""Largest width times height that is decoded unless more is asked for."""

# Readers are called directly because Image.open() applies Pillow's process-wide size limit
# before it tells the size, and ours is per call.
_READERS: Final[dict[str, tuple[bytes, type[ImageFile.ImageFile]]]] = {
    "JPEG": (rb"\xff\xd8\xff", JpegImagePlugin.JpegImageFile),
    "PNG": (rb"\x89PNG\r\n\x1a\n", PngImagePlugin.PngImageFile),
    "WEBP": (rb"RIFF[\x00-\xff]{4}WEBP", WebPImagePlugin.WebPImageFile),
    "GIF": (rb"GIF8[79]a", GifImagePlugin.GifImageFile),
    "BMP": (rb"BM", BmpImagePlugin.BmpImageFile),
    "TIFF": (rb"II[*+]\x00|MM\x00[*+]", TiffImagePlugin.TiffImageFile),
    "PPM": (rb"P[1-6f]\s", PpmImagePlugin.PpmImageFile),
}


@contextmanager
def open_image(picture: Picture, max_pixels: int = MAX_PIXELS) -> Iterator[ImageFile.ImageFile]:
    """Open one image file and check its header; whatever fails inside the block is an ImageError.

    Args:
        picture: A JPEG, PNG, WEBP, GIF, BMP, TIFF or PPM file, whatever its suffix, or a source
            of its bytes.
        max_pixels: Largest width times height that is accepted.

    Yields:
        The picture as the file stores it, not decoded yet.

    Raises:
        ImageError: If the file is missing, empty, damaged, too large or no image.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "gray.png")
    ...     Image.new("I;16", (4, 3), 7).save(file)
    ...     with open_image(file) as image:
    ...         image.mode, image.size, image.getpixel((0, 0))
    ('I;16', (4, 3), 7)
    """
    path = name_of(picture)
    with open_source(picture) as file:
        name, reader = _reader(path, file)
        # Pillow's own exceptions are of nearly every builtin kind on damaged bytes.
        try:
            # Not thread-safe before Python 3.14, so limited to warnings that Pillow raises: the
            # worst a race can do is to lose or to show one of those.
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", module=r"PIL\.")
                image = reader(file)
                _check_size(path, image, max_pixels)
                yield image
        except ImageError:
            raise
        except Exception as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise ImageError(path, f"cannot be decoded as {name}: {reason}") from error


def orientation(image: Image.Image) -> int:
    """Return the EXIF orientation of an opened picture: 1 to 8, 1 where the file says none.

    >>> orientation(Image.new("L", (2, 2)))
    1
    """
    value = image.getexif().get(ExifTags.Base.Orientation)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def image_size(
    picture: Picture, max_pixels: int = MAX_PIXELS, *, header_only: bool = False
) -> tuple[int, int]:
    """Return width and height of a picture as displayed, from its header where that says it.

    Args:
        picture: An image file, see `open_image`.
        max_pixels: Largest width times height of a PNG whose header does not say how it lies: it
            may say so behind its pixels, and is decoded.
        header_only: Whether to take such a PNG as it is stored instead, without decoding it.

    Raises:
        ImageError: If the file is missing, empty, damaged or no image, or such a PNG too large.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "gray.png")
    ...     Image.new("L", (4, 3)).save(file)
    ...     image_size(file)
    (4, 3)
    """
    with open_image(picture, sys.maxsize) as image:
        width, height = image.size
        may_turn = isinstance(image, PngImagePlugin.PngImageFile) and "exif" not in image.info
        if may_turn and header_only:
            return width, height
        if may_turn and width * height > max_pixels:
            raise ImageError(
                name_of(picture),
                f"{width} x {height} pixels are more than the limit of {max_pixels:,} for a PNG "
                "that does not say first how it lies; state its size beside its boxes",
            )
        # From 5 on, what is stored lies on its side; Pillow itself turns TIFF, its size too.
        turned = not isinstance(image, TiffImagePlugin.TiffImageFile) and orientation(image) >= 5
        return (height, width) if turned else (width, height)


def _reader(path: Path | str, file: BinaryIO) -> tuple[str, type[ImageFile.ImageFile]]:
    try:
        start = file.read(16)
        file.seek(0)
    except OSError as error:
        raise ImageError(path, f"cannot be read: {error}") from error
    if not start:
        raise ImageError(path, "the file is empty")
    for name, (magic, reader) in _READERS.items():
        if re.match(magic, start):
            return name, reader
    raise ImageError(path, f"not an image file of a known format ({', '.join(_READERS)})")


def _check_size(path: Path | str, image: ImageFile.ImageFile, max_pixels: int) -> None:
    sizes = [image.size]
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        # A tile is decoded whole, however small the picture that it covers.
        tile = TiffImagePlugin.TILEWIDTH, TiffImagePlugin.TILELENGTH
        sizes.append((image.tag_v2.get(tile[0], 0), image.tag_v2.get(tile[1], 0)))
    for width, height in sizes:
        if width * height > max_pixels:
            raise ImageError(
                path,
                f"{width} x {height} pixels are more than the limit of {max_pixels:,}; "
                "raise max_pixels to read it",
            )
