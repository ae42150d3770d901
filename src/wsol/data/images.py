"""The one way image files are found and decoded."""

import logging
import os
import re
import stat
import warnings
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
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

from wsol.errors import DataError, ImageError

IMAGE_SUFFIXES: Final = frozenset(
    {
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".png",
        ".webp",
        ".gif",
        ".bmp",
        ".tif",
        ".tiff",
        ".ppm",
        ".pgm",
        ".pbm",
        ".pnm",
        ".pfm",
    }
)

_logger = logging.getLogger("wsol")

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

_TO_DISPLAYED: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def load_image(path: Path | str, *, max_pixels: int = 50_000_000) -> Image.Image:
    """Decode one image file completely into RGB, in the frame in which it is displayed.

    The EXIF orientation is applied, so width, height and boxes refer to what a viewer shows.
    Transparent pixels are composited over white. Integers of more than 8 bits are scaled so
    that 65535, or their maximum if it is larger, becomes white; floats so that the first of 1,
    255, 65535 and their maximum that no pixel exceeds does. Negative and non-finite pixels are
    black. CMYK in JPEG has Adobe's polarity. An animation or a file of several pages gives its
    first picture. Colour profiles and metadata are dropped.

    Args:
        path: A JPEG, PNG, WEBP, GIF, BMP, TIFF or PPM file, whatever its suffix.
        max_pixels: Largest width times height that is decoded; the header is checked first.

    Returns:
        A picture of mode RGB.

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
    with _open(path) as file:
        name, reader = _reader(path, file)
        # Pillow's own exceptions are of nearly every builtin kind on damaged bytes.
        try:
            # Not thread-safe before Python 3.14, so limited to warnings that Pillow raises: the
            # worst a race can do is to lose or to show one of those.
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", module=r"PIL\.")
                image = reader(file)
                _check_size(path, image, max_pixels)
                image.load()
                orientation = image.getexif().get(ExifTags.Base.Orientation)
                rgb = _to_rgb(image)
        except ImageError:
            raise
        except Exception as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise ImageError(path, f"cannot be decoded as {name}: {reason}") from error
    if orientation in _TO_DISPLAYED:
        rgb = rgb.transpose(_TO_DISPLAYED[orientation])
    rgb.info.clear()
    return rgb


def find_images(root: Path | str, *, follow_links: bool = False) -> list[str]:
    """List the image files beneath a folder, by suffix (see `IMAGE_SUFFIXES`, in any case).

    Hidden files and folders are left out. Links to folders, and links to files outside `root`,
    are skipped with a line on the logger "wsol" unless `follow_links`; a link to a folder that
    contains it is never followed. Nothing is opened.

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
    found = []
    tree = os.path.realpath(root)
    # Each folder with the path it is known by and the real folders it lies in.
    todo: list[tuple[str, str, tuple[str, ...]]] = [(tree, "", (tree,))]
    while todo:
        folder, prefix, above = todo.pop()
        for entry in _visible(folder):
            name, is_link = prefix + entry.name, entry.is_symlink()
            target = Path(os.path.realpath(entry.path)) if is_link else entry
            real, is_folder = os.fspath(target), target.is_dir()
            if not is_folder and Path(name).suffix.lower() not in IMAGE_SUFFIXES:
                continue
            if is_link and not follow_links and (is_folder or not _lies_in(tree, real)):
                _logger.warning("%r is a link to %r and was skipped", entry.path, real)
            elif real in above:
                _logger.warning("%r leads back to %r and was skipped", entry.path, real)
            elif is_folder:
                todo.append((real, name + "/", (*above, real)))
            elif target.is_file():
                found.append(name)
            else:
                _logger.warning("%r is not a regular file and was skipped", entry.path)
    return sorted(found)


def _visible(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if not entry.name.startswith(".")]
    except OSError as error:
        raise DataError(f"{folder}: {error.strerror}") from error


def _lies_in(tree: str, real: str) -> bool:
    return Path(real).is_relative_to(tree)


def _open(path: Path | str) -> BinaryIO:
    try:
        status = Path(path).stat()
        if stat.S_ISDIR(status.st_mode):
            raise ImageError(path, "is a folder, not an image file")
        if not stat.S_ISREG(status.st_mode):
            raise ImageError(path, "is not a regular file")
        if status.st_size == 0:
            raise ImageError(path, "the file is empty")
        return Path(path).open("rb")
    except FileNotFoundError as error:
        raise ImageError(path, "no such file") from error
    except (OSError, ValueError) as error:
        raise ImageError(path, f"cannot be opened: {error}") from error


def _reader(path: Path | str, file: BinaryIO) -> tuple[str, type[ImageFile.ImageFile]]:
    try:
        start = file.read(16)
        file.seek(0)
    except OSError as error:
        raise ImageError(path, f"cannot be read: {error}") from error
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


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F" or image.mode.startswith("I"):
        return _gray(image).convert("RGB")
    if image.has_transparency_data:
        picture = image.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        return Image.alpha_composite(white, picture).convert("RGB")
    return image.convert("RGB")


def _gray(image: Image.Image) -> Image.Image:
    levels = np.asarray(image, dtype=np.float32)
    levels = np.where(np.isfinite(levels), levels, 0)
    top = float(levels.max())
    whites = (1.0, 255.0, 65535.0) if image.mode == "F" else (65535.0,)
    white = next((white for white in whites if top <= white), top)
    return Image.fromarray(np.rint(np.clip(levels / white, 0, 1) * 255).astype(np.uint8))
