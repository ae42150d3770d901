"""Transforms of images to network input: resize, crop and flip."""

import math
from typing import Final, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.nn.functional import interpolate

SCALED_MARGIN: Final = 1.5
"""Minimum ratio of the decoded to the resized side, for images that are decoded at a smaller scale.
Crops then differ by 1.3 levels of 255 on average, as much as with another resize filter."""


class Transform(Protocol):
    """Protocol of transforms of RGB images to arrays for the network."""

    def __call__(self, image: Image.Image, seed: tuple[int, ...]) -> NDArray[np.uint8]:
        """Return uint8 ``(H, W, 3)``; the same image and seed give the same array."""
        ...


class TrainTransform:
    """Resize to a square, crop a random square, and flip with probability 0.5.

    Images are resized by torch, four times faster than by Pillow, which prediction uses; some
    pixels differ by one level of 255, rarely by two. The sizes are the sides of the crop and of the
    square before it, in pixels.

    Source: Choe & Shim, CVPR 2019, section 4.1.

    >>> image = Image.new("RGB", (500, 375), "red")
    >>> TrainTransform(224, 256)(image, seed=(0,)).shape
    (224, 224, 3)
    """

    def __init__(self, size: int, resize: int) -> None:
        """Store the sizes."""
        self.size, self.resize = size, resize

    @property
    def least_side(self) -> int:
        """Minimum of both sides in pixels for images that are decoded at a smaller scale."""
        return math.ceil(SCALED_MARGIN * self.resize)

    def __call__(self, image: Image.Image, seed: tuple[int, ...]) -> NDArray[np.uint8]:
        """Return uint8 ``(size, size, 3)``."""
        return self.crop(np.array(image), seed)

    def crop(self, pixels: NDArray[np.uint8], seed: tuple[int, ...]) -> NDArray[np.uint8]:
        """Transform an array of pixels, uint8 ``(H, W, 3)``, in the same way."""
        random = np.random.default_rng(seed)
        left, top = random.integers(0, self.resize - self.size + 1, 2).tolist()
        flip = random.random() < 0.5
        # Add the batch dimension before permuting, so that torch detects channels last.
        images = torch.from_numpy(pixels)[None].permute(0, 3, 1, 2)
        square = interpolate(images, (self.resize,) * 2, mode="bilinear", antialias=True)
        crop = square[..., top : top + self.size, left : left + self.size]
        return (crop.flip(-1) if flip else crop)[0].permute(1, 2, 0).numpy()


class EvalTransform:
    """Resize to a square, so that the whole image is used, and boxes scale by width and height.

    Source: ``docs/protocol.md``.

    >>> EvalTransform(224)(Image.new("RGB", (500, 375))).shape
    (224, 224, 3)
    """

    def __init__(self, size: int) -> None:
        """Store the size."""
        self.size = size

    @property
    def least_side(self) -> int:
        """Minimum of both sides in pixels for images that are decoded at a smaller scale."""
        return math.ceil(SCALED_MARGIN * self.size)

    def __call__(self, image: Image.Image, seed: tuple[int, ...] = ()) -> NDArray[np.uint8]:
        """Return uint8 ``(size, size, 3)``; the seed is not used."""
        return _resized(image, self.size)


class CenterCropTransform:
    """Resize to a square and crop its center; boxes are shifted accordingly.

    Source: Choe & Shim, CVPR 2019, section 4.1, and the authors' published code.

    >>> CenterCropTransform(224, 256)(Image.new("RGB", (500, 375))).shape
    (224, 224, 3)
    """

    def __init__(self, size: int, resize: int) -> None:
        """Store the sizes."""
        self.size, self.resize = size, resize
        self.margin = (resize - size) // 2

    def __call__(self, image: Image.Image, seed: tuple[int, ...] = ()) -> NDArray[np.uint8]:
        """Return uint8 ``(size, size, 3)``; the seed is not used."""
        inside = slice(self.margin, self.margin + self.size)
        return np.ascontiguousarray(_resized(image, self.resize)[inside, inside])

    def move_boxes(
        self, boxes: NDArray[np.float64], original_size: tuple[int, int]
    ) -> NDArray[np.float64]:
        """Convert boxes ``(N, 4)``, x0 y0 x1 y1, to pixels of the crop, without clipping.

        >>> crop = CenterCropTransform(224, 256)
        >>> crop.move_boxes(np.array([[0.0, 64.0, 512.0, 128.0]]), (512, 128)).tolist()
        [[-16.0, 112.0, 240.0, 240.0]]
        """
        # Divide before multiplying, as in the authors' code: the order affects the result after
        # truncation to whole pixels.
        moved: NDArray[np.float64] = boxes * (self.resize / np.tile(original_size, 2)) - self.margin
        return moved


def _resized(image: Image.Image, side: int) -> NDArray[np.uint8]:
    return np.asarray(image.resize((side, side), Image.Resampling.BILINEAR))
