"""True masks: from the files of one image to object, background and ignored pixels."""

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from wsol.data.annotations.annotations import MaskFiles
from wsol.data.box_row import Size
from wsol.data.decode import MAX_PIXELS, open_image
from wsol.errors import DataError

OBJECT: Final = 1
IGNORED: Final = 255


def read_mask(
    files: MaskFiles,
    size: Size | None = None,
    ignore_value: int | None = None,
    max_pixels: int = MAX_PIXELS,
) -> NDArray[np.uint8]:
    """Read the mask of one image.

    A pixel is of an object where any of the files of objects has another value than 0 and
    `ignore_value`. It is ignored where it is of no object and either has `ignore_value` or is
    not 0 in the file of pixels to ignore. Of a palette the number of the entry counts, of
    colours their gray.

    Args:
        files: The files, each of any size.
        size: Width and height of the result in pixels, to which each file is resized by its
            nearest pixels; None takes that of the first file.
        ignore_value: Value that marks pixels to ignore in the files of objects; a negative one
            is in none of them.
        max_pixels: Largest width times height of a file that is decoded.

    Returns:
        (height, width): 1 object, 0 background, 255 ignored.

    Raises:
        ImageError: If a file cannot be read.
        DataError: If a file holds 255 beside other values than 0 and no `ignore_value` is given:
            255 may be an object or mean ignored.

    Source: `get_mask` of wsolevaluation's `evaluation.py`: nearest pixels, the union of all
    objects, ignored only where there is none.

    >>> from tempfile import TemporaryDirectory
    >>> from PIL import Image
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "a.png")
    ...     Image.fromarray(np.array([[0, 1, 255]], np.uint8)).save(file)
    ...     read_mask(MaskFiles((file,)), ignore_value=255)
    array([[  0,   1, 255]], dtype=uint8)
    """
    first = _values(files.objects[0], max_pixels)
    height, width = first.shape
    size = size or (width, height)
    is_object = np.zeros(size[::-1], np.bool_)
    is_ignored = np.zeros(size[::-1], np.bool_)
    for path in files.objects:
        values = first if path is files.objects[0] else _values(path, max_pixels)
        if ignore_value is None:
            _check_plain(path, values)
        values = nearest(values, size)
        is_object |= (values != 0) & (values != ignore_value)
        is_ignored |= values == ignore_value
    if files.ignore is not None:
        is_ignored |= nearest(_values(files.ignore, max_pixels), size) != 0
    mask = np.where(is_ignored, IGNORED, 0).astype(np.uint8)
    mask[is_object] = OBJECT
    return mask


def nearest(values: NDArray[np.generic], size: Size) -> NDArray[np.generic]:
    """Resize by taking the nearest pixel up and left, as OpenCV's `INTER_NEAREST` does.

    Args:
        values: (H, W).
        size: Width and height of the result.

    >>> nearest(np.array([[1, 2, 3, 4]]), (2, 1)).tolist()
    [[1, 3]]
    """
    width, height = size
    rows, columns = _nearest(values.shape[0], height), _nearest(values.shape[1], width)
    return values[rows[:, None], columns]


def _nearest(source: int, target: int) -> NDArray[np.int64]:
    # The factor is rounded twice, as it is in OpenCV; it decides about whole places.
    factor = 1.0 / (target / source)
    places: NDArray[np.int64] = np.floor(np.arange(target) * factor).astype(np.int64)
    return places.clip(max=source - 1)


def _values(path: Path, max_pixels: int) -> NDArray[np.generic]:
    with open_image(path, max_pixels) as image:
        image.load()
        if image.mode == "P" or image.mode == "L" or image.mode.startswith("I"):
            return np.asarray(image)
        return np.asarray(image.convert("L"))


def _check_plain(path: Path, values: NDArray[np.generic]) -> None:
    present = values == 255
    if present.any() and not (present | (values == 0)).all():
        raise DataError(
            f"{path}: holds 255 beside other values than 0: give --ignore_value 255 where that "
            "means ignored, or --ignore_value -1 where it is an object too"
        )
