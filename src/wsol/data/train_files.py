"""Image files as a training reads them: as fast as can be, and nearly as evaluation sees them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL.JpegImagePlugin import JpegImageFile

from wsol.data.decode import MAX_PIXELS, open_image, orientation
from wsol.data.images import decode_image
from wsol.data.loader import ImageFiles, Key
from wsol.data.sources import Picture, open_source
from wsol.data.transforms import TrainTransform


class TrainFiles(ImageFiles):
    """Image files, decoded and cropped for training when asked for.

    Args:
        paths: the files, or sources of their bytes.
        transform: makes a picture an array.
        scaled: whether large JPEG may be decoded at a smaller scale.
    """

    def __init__(
        self, paths: Sequence[Picture], transform: TrainTransform, scaled: bool = True
    ) -> None:
        """Name the files and their transform."""
        super().__init__(paths, transform, least_side=transform.least_side if scaled else None)
        self.crop = transform.crop

    def read(self, key: Key) -> tuple[NDArray[np.uint8], tuple[int, int]]:
        """Return the crop, uint8 ``(H, W, 3)``, and the size of the picture."""
        pixels, size = decode_pixels(self.paths[key.index], self.max_pixels, self.least_side)
        return self.crop(pixels, key.seed), size


class Pixels(NamedTuple):
    """A picture as an array, and what it was before it was scaled.

    Attributes:
        pixels: uint8 ``(H, W, 3)``, as displayed.
        size: width and height of the original picture in pixels, as displayed.
    """

    pixels: NDArray[np.uint8]
    size: tuple[int, int]


def decode_pixels(
    picture: Picture, max_pixels: int = MAX_PIXELS, least_side: int | None = None
) -> Pixels:
    """Decode one image file as ``decode_image`` does, to the same pixels.

    Simplejpeg decodes most JPEG: by the same library as Pillow, but straight into an array. Pillow
    opens all of them, and decodes what is to be scaled or turned, what is no JPEG or not in colour,
    and what simplejpeg finds any fault with: so what is wrong with a file, and what is not, stays
    Pillow's to say.

    Args:
        picture: an image file.
        max_pixels: largest width times height that is decoded; the header is checked first.
        least_side: as ``decode_image`` has it.

    Raises:
        ImageError: the file is missing, empty, damaged, cut short, too large or no image.

    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from PIL import Image
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "a.jpg")
    ...     Image.new("RGB", (20, 10), "white").save(file)
    ...     pixels, size = decode_pixels(file)
    >>> pixels.shape, int(pixels.min()), size
    ((10, 20, 3), 255, (20, 10))
    """
    found = _decode_plain(picture, max_pixels, least_side)
    if found is not None:
        return found
    decoded = decode_image(picture, max_pixels, least_side)
    return Pixels(np.array(decoded.image), decoded.size)


def _decode_plain(picture: Picture, max_pixels: int, least_side: int | None) -> Pixels | None:
    with open_image(picture, max_pixels) as image:
        if not isinstance(image, JpegImageFile) or image.mode != "RGB" or orientation(image) != 1:
            return None
        if least_side is not None and min(image.size) >= 2 * least_side:
            return None
        with open_source(picture) as file:
            try:
                return Pixels(simplejpeg.decode_jpeg(file.read(), "RGB"), image.size)
            except ValueError:
                return None
