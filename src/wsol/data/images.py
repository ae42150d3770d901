"""Search for image files, and their decoding."""

import re
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

import numpy as np
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    ExifTags,
    GifImagePlugin,
    Image,
    ImageFile,
    Jpeg2KImagePlugin,
    JpegImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)
from PIL.BmpImagePlugin import BmpImageFile
from PIL.JpegImagePlugin import JpegImageFile

from wsol.data.file_index import IMAGE_SUFFIXES, LeftOut, Names, index_files
from wsol.data.shards.reader import is_sharded, list_shards
from wsol.data.sources import ImageSource, name_of, open_source
from wsol.errors import ImageError, not_installed

MAX_PIXELS: Final = 50_000_000
"""Default pixel limit of an image, width times height."""

_Reader = Callable[[BinaryIO], ImageFile.ImageFile]


def _open_heif(file: BinaryIO) -> ImageFile.ImageFile:
    try:
        from pillow_heif import HeifImageFile
    except ImportError as error:
        raise not_installed("pillow-heif", "wsol[heif]") from error
    return HeifImageFile(file)


# Readers are called directly because Image.open() applies Pillow's process-wide size limit before
# the size is known; max_pixels is per call.
_READERS: Final[dict[str, tuple[bytes, _Reader]]] = {
    "JPEG": (rb"\xff\xd8\xff", JpegImagePlugin.JpegImageFile),
    "PNG": (rb"\x89PNG\r\n\x1a\n", PngImagePlugin.PngImageFile),
    "WEBP": (rb"RIFF[\x00-\xff]{4}WEBP", WebPImagePlugin.WebPImageFile),
    "GIF": (rb"GIF8[79]a", GifImagePlugin.GifImageFile),
    "BMP": (rb"BM", BmpImagePlugin.BmpImageFile),
    "TIFF": (rb"II[*+]\x00|MM\x00[*+]", TiffImagePlugin.TiffImageFile),
    "PPM": (rb"P[1-6f]\s", PpmImagePlugin.PpmImageFile),
    # AVIF files may start with a general brand, followed by an AVIF brand.
    "AVIF": (
        rb"[\x00-\xff]{4}ftyp(?:(?:mif1|msf1)(?:[\x00-\xff]{4})*?)?avi[fs]",
        AvifImagePlugin.AvifImageFile,
    ),
    "HEIF": (rb"[\x00-\xff]{4}ftyp(?:hei[cxms]|hev[cxms]|mif1|msf1)", _open_heif),
    "JPEG2000": (
        rb"\x00\x00\x00\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51",
        Jpeg2KImagePlugin.Jpeg2KImageFile,
    ),
}

_START: Final = 64
"""Number of bytes at the start of a file that determine its format."""

_J2K_SIZE: Final = re.compile(
    rb"\xff\x4f\xff\x51[\x00-\xff]{4}([\x00-\xff]{4})([\x00-\xff]{4})[\x00-\xff]{24}([\x00-\xff]{2})"
)
"""Start of a JPEG 2000 codestream: width, height and number of components."""

_MOST_COMPONENTS: Final = 4

_EXIF_KEYS: Final = ("exif", "Raw profile type exif")
"""Keys of EXIF data in Pillow; the second is that of PNG files of ImageMagick."""


@contextmanager
def open_image(source: ImageSource, max_pixels: int = MAX_PIXELS) -> Iterator[ImageFile.ImageFile]:
    """Open an image file and check its header; errors inside the block become ImageError.

    The image is as stored in the file (see `load_image`), not decoded yet.
    """
    path = name_of(source)
    with open_source(source) as file:
        name, reader = _reader(path, file)
        # Pillow raises nearly any builtin exception on damaged bytes.
        try:
            # Not thread-safe before Python 3.14, and therefore limited to warnings of Pillow: a
            # race can only lose or show one of these.
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", module=r"PIL\.")
                image = reader(file)
                _check_size(path, image, file, max_pixels)
                # Pillow rotates a TIFF by its XMP if the file has no other orientation.
                image.info.pop("xmp", None)
                yield image
        except ImageError:
            raise
        except Exception as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise ImageError(path, f"cannot be decoded as {name}: {reason}") from error


def orientation(image: Image.Image) -> int:
    """Return the EXIF orientation of an opened image: 1 to 8, or 1 by default.

    An orientation in XMP is ignored, as in OpenCV and browsers. Pillow rotates TIFF files itself,
    so their orientation is 1. A PNG without EXIF before its pixels is decoded.
    """
    if isinstance(image, PngImagePlugin.PngImageFile) and "exif" not in image.info:
        image.load()
    # Pillow's getexif() also reads XMP, so it is called on an image with EXIF only.
    bare = Image.new("1", (1, 1))
    bare.info = {key: image.info[key] for key in _EXIF_KEYS if key in image.info}
    value = bare.getexif().get(ExifTags.Base.Orientation)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def read_image_size(
    source: ImageSource, max_pixels: int = MAX_PIXELS, *, header_only: bool = False
) -> tuple[int, int]:
    """Return width and height of an image as displayed, from its header if possible.

    A PNG without orientation in its header is decoded, as the orientation may follow the pixels,
    and refused if it exceeds `max_pixels`; with `header_only`, its stored size is returned.
    """
    with open_image(source, sys.maxsize) as image:
        width, height = image.size
        may_turn = isinstance(image, PngImagePlugin.PngImageFile) and "exif" not in image.info
        if may_turn and header_only:
            return width, height
        if may_turn and width * height > max_pixels:
            raise ImageError(
                name_of(source),
                f"{width} x {height} pixels exceed the limit of {max_pixels:,} for a PNG without "
                "orientation in its header; add width and height to its boxes",
            )
        # Orientations from 5 on swap width and height.
        turned = orientation(image) >= 5
        return (height, width) if turned else (width, height)


def is_image_file(path: Path) -> bool:
    """Return whether a file can be read, and its content is an image of a supported format."""
    try:
        with open_source(path) as file:
            start = file.read(_START)
    except (ImageError, OSError):
        return False
    return any(re.match(magic, start) for magic, _ in _READERS.values())


def _reader(path: Path | str, file: BinaryIO) -> tuple[str, _Reader]:
    try:
        start = file.read(_START)
        file.seek(0)
    except OSError as error:
        raise ImageError(path, f"cannot be read: {error}") from error
    if not start:
        raise ImageError(path, "the file is empty")
    for name, (magic, reader) in _READERS.items():
        if re.match(magic, start):
            return name, reader
    raise ImageError(path, f"not an image file of a known format ({', '.join(_READERS)})")


def _check_size(
    path: Path | str, image: ImageFile.ImageFile, file: BinaryIO, max_pixels: int
) -> None:
    sizes = [image.size]
    if isinstance(image, Jpeg2KImagePlugin.Jpeg2KImageFile):
        # The size in the file header may differ from that of the codestream, which is decoded.
        for width, height, components in _J2K_SIZE.findall(_content(file)):
            sizes.append((int.from_bytes(width), int.from_bytes(height)))
            if int.from_bytes(components) > _MOST_COMPONENTS:
                raise ImageError(path, f"has more than {_MOST_COMPONENTS} components")
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        # Tiles are decoded as a whole, even if the image is smaller.
        tile = TiffImagePlugin.TILEWIDTH, TiffImagePlugin.TILELENGTH
        sizes.append((image.tag_v2.get(tile[0], 0), image.tag_v2.get(tile[1], 0)))
    for width, height in sizes:
        if width * height > max_pixels:
            raise ImageError(
                path,
                f"{width} x {height} pixels exceed the limit of {max_pixels:,}; "
                "raise max_pixels to read it",
            )


def _content(file: BinaryIO) -> bytes:
    """Return all bytes of a file, and restore its position."""
    place = file.tell()
    file.seek(0)
    content = file.read()
    file.seek(place)
    return content


_TO_DISPLAYED: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def load_image(image: ImageSource, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Decode an image file to RGB, in the orientation in which it is displayed.

    The EXIF orientation is applied, so width, height and boxes refer to the displayed image.
    Transparent pixels are composited over white, except in a BMP that is fully transparent.
    Integers of more than 8 bits are scaled so that 65535, or their maximum if it is larger, becomes
    white; floats are scaled by the first of 1, 255, 65535 and their maximum that no pixel exceeds.
    Negative and non-finite pixels are black. CMYK in JPEG has Adobe's polarity. Of animations and
    files with more than one page, the first image is decoded. Color profiles and metadata are
    dropped.

    Args:
        image: JPEG, PNG, WEBP, GIF, BMP, TIFF, PPM, AVIF, JPEG 2000 or (extra heif) HEIF file, with
            any suffix, or a source of its bytes.
        max_pixels: Pixel limit, width times height; it is checked before decoding.

    Returns:
        Image of mode RGB.

    Raises:
        ImageError: If the file is missing, empty, damaged, truncated, too large or not an image.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "gray.png")
    ...     Image.new("I;16", (4, 3), 0x8080).save(file)
    ...     image = load_image(file)
    >>> image.mode, image.size, image.getpixel((0, 0))
    ('RGB', (4, 3), (128, 128, 128))
    """
    # Return a plain image instead of an ImageFile, which refers to the closed file.
    return decode_image(image, max_pixels).image.copy()


class Decoded(NamedTuple):
    """Image of mode RGB, and width and height of the original image in pixels, as displayed."""

    image: Image.Image
    size: tuple[int, int]


def decode_image(
    source: ImageSource, max_pixels: int = MAX_PIXELS, least_side: int | None = None
) -> Decoded:
    """Decode an image file like `load_image`, with JPEG optionally at a smaller scale.

    Args:
        source: Image file, see `load_image`.
        max_pixels: Pixel limit, width times height; it is checked before decoding.
        least_side: Minimum of both sides of a JPEG in pixels, which is decoded at the smallest of
            1/2, 1/4 and 1/8 of its size that satisfies it; default: full size.

    Raises:
        ImageError: If the file is missing, empty, damaged, truncated, too large or not an image.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "a.jpg")
    ...     Image.new("RGB", (200, 100)).save(file)
    ...     decoded = decode_image(file, least_side=40)
    >>> decoded.image.size, decoded.size
    ((100, 50), (200, 100))
    """
    with open_image(source, max_pixels) as image:
        width, height = image.size
        if least_side is not None:
            image.draft(None, (least_side, least_side))
        image.load()
        turn = orientation(image)
        # Pillow rotates TIFF files itself, and updates their size.
        if not isinstance(image, JpegImageFile):
            width, height = image.size
        rgb = _to_rgb(image)
    if turn in _TO_DISPLAYED:
        rgb = rgb.transpose(_TO_DISPLAYED[turn])
    rgb.info.clear()
    return Decoded(rgb, (height, width) if turn >= 5 else (width, height))


def find_images(root: Path | str, *, follow_links: bool = False) -> list[str]:
    """List the image files below a folder, by suffix (`IMAGE_SUFFIXES`, ignoring case).

    Hidden files and folders are left out. Links to folders, and links to files outside `root`,
    are skipped with a log message unless `follow_links`; a link to a folder that contains it is
    never followed. Folders below `root` that wsol has written, and images of unsupported formats,
    are skipped with a log message. If the folder has its images in tar files (see `is_sharded`),
    they are listed like files of the folder, and can be opened by these paths.

    Args:
        root: Folder to search; may be a link.
        follow_links: Whether to follow symbolic links.

    Returns:
        Sorted paths relative to `root`, with forward slashes.

    Raises:
        DataError: If `root` or a folder below it cannot be listed.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     Path(folder, "cat").mkdir()
    ...     for name in ("cat/b.JPG", "a.png", "notes.txt", ".hidden.png"):
    ...         Path(folder, name).touch()
    ...     find_images(folder)
    ['a.png', 'cat/b.JPG']
    """
    return list(index_images(root, follow_links=follow_links))


def index_images(root: Path | str, *, follow_links: bool = False) -> Names:
    """Return the images of `find_images` as `Names`, which supports millions of files."""
    if is_sharded(root):
        return Names(list_shards(root, follow_links=follow_links))
    left_out = LeftOut()

    def pass_over(path: str) -> None:
        # Only files without suffix are opened.
        left_out.add(path, is_image=not Path(path).suffix and is_image_file(Path(path)))

    names = index_files(
        root,
        IMAGE_SUFFIXES,
        follow_links=follow_links,
        inputs_only=True,
        passed_over=pass_over,
    )
    left_out.log(root)
    return names


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB" and not image.has_transparency_data:
        return image
    if image.mode == "F" or image.mode.startswith("I"):
        return _gray(image).convert("RGB")
    # Many programs leave the unused fourth byte of BMP pixels at zero.
    if isinstance(image, BmpImageFile) and not image.getbbox(alpha_only=True):
        return image.convert("RGB")
    if image.has_transparency_data:
        converted = image.convert("RGBA")
        white = Image.new("RGBA", converted.size, "white")
        return Image.alpha_composite(white, converted).convert("RGB")
    return image.convert("RGB")


def _gray(image: Image.Image) -> Image.Image:
    levels = np.asarray(image, dtype=np.float32)
    levels = np.where(np.isfinite(levels), levels, 0)
    top = float(levels.max())
    whites = (1.0, 255.0, 65535.0) if image.mode == "F" else (65535.0,)
    white = next((white for white in whites if top <= white), top)
    return Image.fromarray(np.rint(np.clip(levels / white, 0, 1) * 255).astype(np.uint8))
