"""Ground-truth masks with object, background and ignored pixels of each image."""

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
"""Offset of color values, so that they differ from gray levels."""


def read_mask(
    files: MaskFiles,
    size: Size | None = None,
    ignore_value: int | None = None,
    max_pixels: int = MAX_PIXELS,
) -> NDArray[np.uint8]:
    """Read the mask of an image.

    A pixel is object if its value in any of the object files is neither 0 nor `ignore_value`. It is
    ignored if it is not object, and has `ignore_value` or is not 0 in the file of ignored pixels.

    The value of a pixel is its gray level (1, 8 or 16 bits) or its palette index. A color has the
    value 0 if it is black, a gray level if its channels are equal, and a unique value otherwise. In
    files with transparent pixels, these are 0 and all others are not: an opaque black pixel is 1.

    Args:
        files: Files of the mask, each of any size.
        size: Width and height of the result in pixels, to which each file is resized by nearest
            neighbor; None: the size of the first file.
        ignore_value: Value of ignored pixels in the object files; a negative value does not occur.
        max_pixels: Pixel limit of a file, width times height.

    Returns:
        (height, width): 1 object, 0 background, 255 ignored.

    Raises:
        ImageError: If a file cannot be read.
        DataError: If a file contains 255 and other values than 0, without `ignore_value`, as 255
            may be an object or ignored; if transparency and values are inconsistent; or if the
            format changes values (JPEG, 16-bit colors).

    Source: `get_mask` of wsolevaluation's `evaluation.py`: nearest neighbor, union of all objects,
    ignored only outside of objects.

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
    """Resize ``(H, W)`` by nearest neighbor, rounding down like OpenCV's `INTER_NEAREST`."""
    width, height = size
    rows, columns = _nearest(values.shape[0], height), _nearest(values.shape[1], width)
    return values[rows[:, None], columns]


def _nearest(source: int, target: int) -> NDArray[np.int64]:
    # The factor is rounded twice as in OpenCV, which affects integer positions.
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
            f"{path}: has transparent pixels, and opaque pixels of black and other values; save "
            "the mask as gray PNG without transparency"
        )
    if opaque.size == 0 and numbers.any():
        raise DataError(
            f"{path}: is fully transparent, but has pixel values; save the mask as gray PNG "
            "without transparency"
        )
    return np.where(alpha, np.where(numbers == 0, OBJECT, numbers), 0)


def _format_fault(image: ImageFile.ImageFile) -> str | None:
    """Return why the format of a file cannot contain the values of a mask, or None."""
    if image.format == "JPEG":
        return "JPEG changes pixel values; save the mask as gray PNG"
    rawmode = image.tile[0][3] if image.tile else ""
    rawmode = rawmode[0] if isinstance(rawmode, tuple) else rawmode
    # Pillow keeps the upper 8 bits of such channels, so small values would become 0.
    if isinstance(rawmode, str) and ";16" in rawmode and image.mode in ("RGB", "RGBA", "LA"):
        return "has 16-bit color or transparency; save the mask as gray PNG of 8 or 16 bits"
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
    """Return a mask of opaque pixels (H, W), or None if the file has no transparency."""
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
            f"{path}: contains 255 and other values than 0; use --ignore_value 255 if 255 means "
            "ignored, or --ignore_value -1 if it is an object"
        )


MASK_SUFFIX = ".png"
IGNORE = "_ignore"
"""End of the name, without suffix, of a file of ignored pixels."""


def read_mask_folder(root: Path, images: Path | None = None) -> MaskAnnotations:
    """Find the masks of images by the names of PNG files at any depth of a folder.

    Without `images`, each file is the mask of one image, whose id is the path without suffix. With
    the folder of the images, the ids are those of images with masks, and the masks of `crow/a.jpg`
    are `crow/a.png` and all `crow/a_*.png`, where `crow/a_ignore.png` contains ignored pixels. A
    file that matches more than one image belongs to the image with the longest name.

    Raises:
        DataError: If there are no masks, or a mask matches no image.
    """
    files = find_files(root, {MASK_SUFFIX})
    if not files:
        raise DataError(f"{root}: no masks found; use a folder of {MASK_SUFFIX} files")
    if images is None:
        stems = [_stem(name) for name in files]
        masks = tuple(MaskFiles((root / name,)) for name in files)
        return MaskAnnotations(root, tuple(stems), (None,) * len(files), masks)
    by_stem: dict[str, str] = {}
    for name in find_images(images):
        twin = by_stem.setdefault(_stem(name), name)
        if twin != name:
            raise DataError(
                f"{images}: masks match both {twin!r} and {name!r}; use different image names"
            )
    objects: dict[str, list[Path]] = {}
    ignored: dict[str, Path] = {}
    for name in files:
        stem = _stem(name)
        owner = _owner(stem, by_stem)
        if owner is None:
            raise DataError(f"{root / name}: matches no image in {images}; check the names")
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
    """Return the longest image name that is a mask's name, or its prefix before a ``_``."""
    while stem not in images:
        stem, mark, _ = stem.rpartition("_")
        if not mark:
            return None
    return stem
