"""The one way image files are found and decoded."""

from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from PIL import Image
from PIL.BmpImagePlugin import BmpImageFile
from PIL.JpegImagePlugin import JpegImageFile

from wsol.data.decode import MAX_PIXELS, is_image_file, open_image, orientation
from wsol.data.file_index import IMAGE_SUFFIXES, LeftOut, Names, index_files
from wsol.data.shards.reader import is_sharded, list_shards
from wsol.data.sources import Picture

_TO_DISPLAYED: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def load_image(picture: Picture, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Decode one image file completely into RGB, in the frame in which it is displayed.

    The EXIF orientation is applied, so width, height and boxes refer to what a viewer shows.
    Transparent pixels are composited over white, except in a BMP that has no others. Integers of
    more than 8 bits are scaled so that 65535, or their maximum if it is larger, becomes white;
    floats so that the first of 1, 255, 65535 and their maximum that no pixel exceeds does. Negative
    and non-finite pixels are black. CMYK in JPEG has Adobe's polarity. An animation or a file of
    several pages gives its first picture. Colour profiles and metadata are dropped.

    Args:
        picture: A JPEG, PNG, WEBP, GIF, BMP, TIFF, PPM, AVIF, JPEG 2000 or (extra heif) HEIF file,
            whatever its suffix, or a source of its bytes.
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
    # An opened file can do what a picture cannot, such as to be read again.
    return decode_image(picture, max_pixels).image.copy()


class Decoded(NamedTuple):
    """A picture, and what it was before it was scaled.

    Attributes:
        image: of mode RGB, as displayed.
        size: width and height of the original picture in pixels, as displayed.
    """

    image: Image.Image
    size: tuple[int, int]


def decode_image(
    picture: Picture, max_pixels: int = MAX_PIXELS, least_side: int | None = None
) -> Decoded:
    """Decode one image file as `load_image` does, or a JPEG at a smaller scale.

    Args:
        picture: An image file, see `load_image`.
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
    with open_image(picture, max_pixels) as image:
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
