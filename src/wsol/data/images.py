"""The one way image files are found and decoded."""

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
"""Largest width times height that is decoded unless more is asked for."""

_Reader = Callable[[BinaryIO], ImageFile.ImageFile]


def _open_heif(file: BinaryIO) -> ImageFile.ImageFile:
    try:
        from pillow_heif import HeifImageFile
    except ImportError as error:
        raise not_installed("pillow-heif", "wsol[heif]") from error
    return HeifImageFile(file)


# Readers are called directly because Image.open() applies Pillow's process-wide size limit
# before it tells the size, and ours is per call.
_READERS: Final[dict[str, tuple[bytes, _Reader]]] = {
    "JPEG": (rb"\xff\xd8\xff", JpegImagePlugin.JpegImageFile),
    "PNG": (rb"\x89PNG\r\n\x1a\n", PngImagePlugin.PngImageFile),
    "WEBP": (rb"RIFF[\x00-\xff]{4}WEBP", WebPImagePlugin.WebPImageFile),
    "GIF": (rb"GIF8[79]a", GifImagePlugin.GifImageFile),
    "BMP": (rb"BM", BmpImagePlugin.BmpImageFile),
    "TIFF": (rb"II[*+]\x00|MM\x00[*+]", TiffImagePlugin.TiffImageFile),
    "PPM": (rb"P[1-6f]\s", PpmImagePlugin.PpmImageFile),
    # AVIF may name a general brand first and its own among the brands that follow.
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
"""Bytes at the beginning of a file that tell its format."""

_J2K_SIZE: Final = re.compile(
    rb"\xff\x4f\xff\x51[\x00-\xff]{4}([\x00-\xff]{4})([\x00-\xff]{4})[\x00-\xff]{24}([\x00-\xff]{2})"
)
"""Start of a JPEG 2000 codestream: width, height and number of components."""

_MOST_COMPONENTS: Final = 4

_EXIF_KEYS: Final = ("exif", "Raw profile type exif")
"""Where Pillow keeps EXIF; the second is how ImageMagick stores it in PNG."""


@contextmanager
def open_image(source: ImageSource, max_pixels: int = MAX_PIXELS) -> Iterator[ImageFile.ImageFile]:
    """Open one image file and check its header; whatever fails inside the block is an ImageError.

    Args:
        source: A JPEG, PNG, WEBP, GIF, BMP, TIFF, PPM, AVIF, JPEG 2000 or (extra heif) HEIF file,
            whatever its suffix, or a source of its bytes.
        max_pixels: Largest width times height that is accepted.

    Yields:
        The image as the file stores it, not decoded yet.

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
    path = name_of(source)
    with open_source(source) as file:
        name, reader = _reader(path, file)
        # Pillow's own exceptions are of nearly every builtin kind on damaged bytes.
        try:
            # Not thread-safe before Python 3.14, so limited to warnings that Pillow raises: the
            # worst a race can do is to lose or to show one of those.
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", module=r"PIL\.")
                image = reader(file)
                _check_size(path, image, file, max_pixels)
                # Pillow turns a TIFF by its XMP where the file has no other orientation.
                image.info.pop("xmp", None)
                yield image
        except ImageError:
            raise
        except Exception as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise ImageError(path, f"cannot be decoded as {name}: {reason}") from error


def orientation(image: Image.Image) -> int:
    """Return the EXIF orientation of an opened image: 1 to 8, 1 where the file states none.

    An orientation in XMP does not count, as in OpenCV and browsers. A TIFF is displayed by Pillow
    itself, so its orientation is 1.

    Args:
        image: As `open_image` gives it; a PNG without EXIF before its pixels is decoded.

    >>> orientation(Image.new("L", (2, 2)))
    1
    """
    if isinstance(image, PngImagePlugin.PngImageFile) and "exif" not in image.info:
        image.load()
    # Pillow's getexif() adds what XMP says, so it is asked about an image with EXIF alone.
    bare = Image.new("1", (1, 1))
    bare.info = {key: image.info[key] for key in _EXIF_KEYS if key in image.info}
    value = bare.getexif().get(ExifTags.Base.Orientation)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def read_image_size(
    source: ImageSource, max_pixels: int = MAX_PIXELS, *, header_only: bool = False
) -> tuple[int, int]:
    """Return width and height of an image as displayed, from its header where that says it.

    Args:
        source: An image file, see `open_image`.
        max_pixels: Largest width times height of a PNG whose header does not say how it lies: it
            may say so behind its pixels, and is decoded.
        header_only: Whether to take such a PNG as it is stored instead, without decoding it.

    Raises:
        ImageError: If the file is missing, empty, damaged or no image, or such a PNG too large.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "gray.png")
    ...     Image.new("L", (4, 3)).save(file)
    ...     read_image_size(file)
    (4, 3)
    """
    with open_image(source, sys.maxsize) as image:
        width, height = image.size
        may_turn = isinstance(image, PngImagePlugin.PngImageFile) and "exif" not in image.info
        if may_turn and header_only:
            return width, height
        if may_turn and width * height > max_pixels:
            raise ImageError(
                name_of(source),
                f"{width} x {height} pixels are more than the limit of {max_pixels:,} for a PNG "
                "that does not say first how it lies; state its size beside its boxes",
            )
        # From 5 on, what is stored lies on its side.
        turned = orientation(image) >= 5
        return (height, width) if turned else (width, height)


def is_image_file(path: Path) -> bool:
    """Return whether a file begins as an image of a known format does.

    Args:
        path: Of any file; one that cannot be read is none.

    >>> is_image_file(Path("missing"))
    False
    """
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
        # The file's own header may state another size than the codestream, which is decoded.
        for width, height, components in _J2K_SIZE.findall(_content(file)):
            sizes.append((int.from_bytes(width), int.from_bytes(height)))
            if int.from_bytes(components) > _MOST_COMPONENTS:
                raise ImageError(path, f"has more than {_MOST_COMPONENTS} components")
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        # A tile is decoded whole, however small the image that it covers.
        tile = TiffImagePlugin.TILEWIDTH, TiffImagePlugin.TILELENGTH
        sizes.append((image.tag_v2.get(tile[0], 0), image.tag_v2.get(tile[1], 0)))
    for width, height in sizes:
        if width * height > max_pixels:
            raise ImageError(
                path,
                f"{width} x {height} pixels are more than the limit of {max_pixels:,}; "
                "raise max_pixels to read it",
            )


def _content(file: BinaryIO) -> bytes:
    """Return all bytes of a file, which stays where it is."""
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
    """Decode one image file completely into RGB, in the frame in which it is displayed.

    The EXIF orientation is applied, so width, height and boxes refer to what a viewer shows.
    Transparent pixels are composited over white, except in a BMP that has no others. Integers of
    more than 8 bits are scaled so that 65535, or their maximum if it is larger, becomes white;
    floats so that the first of 1, 255, 65535 and their maximum that no pixel exceeds does. Negative
    and non-finite pixels are black. CMYK in JPEG has Adobe's polarity. An animation or a file of
    several pages gives its first image. Colour profiles and metadata are dropped.

    Args:
        image: A JPEG, PNG, WEBP, GIF, BMP, TIFF, PPM, AVIF, JPEG 2000 or (extra heif) HEIF file,
            whatever its suffix, or a source of its bytes.
        max_pixels: Largest width times height that is decoded; the header is checked first.

    Returns:
        An image of mode RGB.

    Raises:
        ImageError: If the file is missing, empty, damaged, cut short, too large or no image.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "gray.png")
    ...     Image.new("I;16", (4, 3), 0x8080).save(file)
    ...     image = load_image(file)
    >>> image.mode, image.size, image.getpixel((0, 0))
    ('RGB', (4, 3), (128, 128, 128))
    """
    # An opened file can do what an image cannot, such as to be read again.
    return decode_image(image, max_pixels).image.copy()


class Decoded(NamedTuple):
    """An image, and what it was before it was scaled.

    Attributes:
        image: of mode RGB, as displayed.
        size: width and height of the original image in pixels, as displayed.
    """

    image: Image.Image
    size: tuple[int, int]


def decode_image(
    source: ImageSource, max_pixels: int = MAX_PIXELS, least_side: int | None = None
) -> Decoded:
    """Decode one image file as `load_image` does, or a JPEG at a smaller scale.

    Args:
        source: An image file, see `load_image`.
        max_pixels: Largest width times height that is decoded; the header is checked first.
        least_side: A JPEG is decoded at the smallest of 1/2, 1/4 and 1/8 of its size at which both
            sides have as many pixels; default: at its own size.

    Raises:
        ImageError: If the file is missing, empty, damaged, cut short, too large or no image.

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
        # What Pillow has turned by itself, TIFF, has no orientation left, and its new size.
        if not isinstance(image, JpegImageFile):
            width, height = image.size
        rgb = _to_rgb(image)
    if turn in _TO_DISPLAYED:
        rgb = rgb.transpose(_TO_DISPLAYED[turn])
    rgb.info.clear()
    return Decoded(rgb, (height, width) if turn >= 5 else (width, height))


def find_images(root: Path | str, *, follow_links: bool = False) -> list[str]:
    """List the image files beneath a folder, by suffix (see `IMAGE_SUFFIXES`, in any case).

    Hidden files and folders are left out. Links to folders, and links to files outside `root`,
    are skipped with a line on the logger "wsol" unless `follow_links`; a link to a folder that
    contains it is never followed. Folders below `root` that wsol has written are skipped with a
    line, and another line counts images of kinds that are not read, by suffix. Where the folder has
    its images in tar files (see `is_sharded`), they are listed as if they were files in it, and
    opened by that path.

    Args:
        root: The folder to look in; may itself be a link.
        follow_links: Whether to follow symbolic links.

    Returns:
        Sorted paths relative to `root`, with forward slashes.

    Raises:
        DataError: If `root` or a folder beneath it cannot be listed.

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
    """Return what `find_images` lists, in flat memory: millions of files are no load.

    Args:
        root: The folder to look in; may itself be a link.
        follow_links: Whether to follow symbolic links.

    Raises:
        DataError: If `root` or a folder beneath it cannot be listed.
    """
    if is_sharded(root):
        return Names(list_shards(root, follow_links=follow_links))
    left_out = LeftOut()

    def pass_over(path: str) -> None:
        # A name with a suffix tells enough, so that other files are not opened.
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
    # Many programs leave the fourth byte of a BMP's pixels at zero, and mean nothing by it.
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
