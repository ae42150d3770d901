"""Ground-truth masks: object, background and ignored pixels of each image."""

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from wsol.data.annotations.types import MaskAnnotations, MaskFiles, Size
from wsol.data.file_index import find_files
from wsol.data.images import MAX_PIXELS, find_images, open_image
from wsol.errors import DataError

OBJECT: Final = 1
IGNORED: Final = 255

_COLOR: Final = 1 << 24
"""Added to the number of a color, so that no color has the value of a gray level."""


def read_mask(
    files: MaskFiles,
    size: Size | None = None,
    ignore_value: int | None = None,
    max_pixels: int = MAX_PIXELS,
) -> NDArray[np.uint8]:
    """Read the mask of one image.

    A pixel belongs to an object where any of the files of objects has a value other than 0 and
    `ignore_value`. It is ignored where it belongs to no object and either has `ignore_value` or
    is not 0 in the file of pixels to ignore.

    The value of a pixel is its gray level (1, 8 or 16 bits) or the number of its palette entry.
    A color is 0 where it is black, a gray level where its channels are equal, and otherwise a
    value of its own. Where a file has transparent pixels, these are 0 and the others are not:
    an opaque black pixel is 1.

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
            255 may be an object or mean ignored. If transparency and values contradict each
            other, or the file does not keep values (JPEG, colors of 16 bits).

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
    """Return the value of each pixel (H, W), see `read_mask`."""
    with open_image(path, max_pixels) as image:
        fault = _format_fault(image)
        if fault is None:
            image.load()
            numbers, alpha = _numbers(image), _alpha(image)
    if fault is not None:
        raise DataError(f"{path}: {fault}")
    if alpha is None or alpha.all():
        return numbers
    opaque = numbers[alpha]
    if not opaque.all() and opaque.any():
        raise DataError(
            f"{path}: has transparent pixels, and opaque ones both black and not: save the mask "
            "as gray PNG without transparency"
        )
    if opaque.size == 0 and numbers.any():
        raise DataError(
            f"{path}: is transparent everywhere, but its pixels have values: save the mask as "
            "gray PNG without transparency"
        )
    return np.where(alpha, np.where(numbers == 0, OBJECT, numbers), 0)


def _format_fault(image: ImageFile.ImageFile) -> str | None:
    """Return why an opened file cannot hold the values of a mask, or None."""
    if image.format == "JPEG":
        return "JPEG changes the values of pixels: save the mask as gray PNG"
    rawmode = image.tile[0][3] if image.tile else ""
    rawmode = rawmode[0] if isinstance(rawmode, tuple) else rawmode
    # Pillow keeps the upper 8 bits of such channels, so that small numbers would become 0.
    if isinstance(rawmode, str) and ";16" in rawmode and image.mode in ("RGB", "RGBA", "LA"):
        return "has color or transparency of 16 bits: save the mask as gray PNG of 8 or 16 bits"
    return None


def _numbers(image: Image.Image) -> NDArray[np.generic]:
    if image.mode in ("1", "L", "P", "F") or image.mode.startswith("I"):
        return np.asarray(image)
    if image.mode == "LA":
        return np.asarray(image.getchannel("L"))
    color = np.asarray(image.convert("RGB")).astype(np.int32)
    red, green, blue = color[..., 0], color[..., 1], color[..., 2]
    is_gray = (red == green) & (green == blue)
    return np.where(is_gray, red, _COLOR + (red << 16) + (green << 8) + blue)


def _alpha(image: Image.Image) -> NDArray[np.bool_] | None:
    """Return which pixels are not transparent (H, W), None where the file has no transparency."""
    if "A" in image.getbands():
        return _is_not(image.getchannel("A"), 0)
    if not image.has_transparency_data:
        return None
    if image.mode.startswith("I"):
        return _is_not(image, image.info["transparency"])
    return _is_not(image.convert("RGBA").getchannel("A"), 0)


def _is_not(image: Image.Image, value: int) -> NDArray[np.bool_]:
    differs: NDArray[np.bool_] = np.asarray(image) != value
    return differs


def _check_plain(path: Path, values: NDArray[np.generic]) -> None:
    present = values == 255
    if present.any() and not (present | (values == 0)).all():
        raise DataError(
            f"{path}: holds 255 beside other values than 0: give --ignore_value 255 where that "
            "means ignored, or --ignore_value -1 where it is an object too"
        )


MASK_SUFFIX = ".png"
IGNORE = "_ignore"
"""End of the name, without suffix, of a file of pixels to leave out."""


def read_mask_folder(root: Path, images: Path | None = None) -> MaskAnnotations:
    """Read which images have masks, by the names of the files.

    Without `images` each file is the mask of one image, whose id is the file's path without
    suffix. With `images` the ids are those of the images that have a mask, and the masks of
    `crow/a.jpg` are `crow/a.png` and all `crow/a_*.png`, of which `crow/a_ignore.png` marks
    pixels to leave out. A file that could belong to several images belongs to the one with the
    longest name.

    Args:
        root: Folder of PNG files, in any folders below it.
        images: Folder of the images.

    Raises:
        DataError: If there is no mask, or one that belongs to no image.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     Path(folder, "crow").mkdir()
    ...     Path(folder, "crow/a.png").touch()
    ...     read_mask_folder(Path(folder)).ids
    ('crow/a',)
    """
    files = find_files(root, {MASK_SUFFIX})
    if not files:
        raise DataError(f"{root}: no masks here, which are files ending in {MASK_SUFFIX}")
    if images is None:
        stems = [_stem(name) for name in files]
        masks = tuple(MaskFiles((root / name,)) for name in files)
        return MaskAnnotations(root, tuple(stems), (None,) * len(files), masks)
    by_stem: dict[str, str] = {}
    for name in find_images(images):
        twin = by_stem.setdefault(_stem(name), name)
        if twin != name:
            raise DataError(f"{images}: a mask could be that of {twin!r} or of {name!r}")
    objects: dict[str, list[Path]] = {}
    ignored: dict[str, Path] = {}
    for name in files:
        stem = _stem(name)
        owner = _owner(stem, by_stem)
        if owner is None:
            raise DataError(f"{root / name}: {images} has no image that this is a mask of")
        if stem == owner + IGNORE:
            ignored[owner] = root / name
        else:
            objects.setdefault(owner, []).append(root / name)
    return MaskAnnotations(
        root,
        tuple(by_stem[stem] for stem in objects),
        (None,) * len(objects),
        tuple(MaskFiles(tuple(paths), ignored.get(stem)) for stem, paths in objects.items()),
    )


def _stem(name: str) -> str:
    return str(Path(name).with_suffix(""))


def _owner(stem: str, images: dict[str, str]) -> str | None:
    """Return the longest image's name that a mask's name is, or begins with before a ``_``."""
    while stem not in images:
        stem, mark, _ = stem.rpartition("_")
        if not mark:
            return None
    return stem
