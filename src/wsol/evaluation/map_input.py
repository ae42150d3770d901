"""One score map from its file to [0, 1], at the size at which it is measured."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import interpolate

from wsol.data.score_maps import load_score_map
from wsol.errors import ImageError
from wsol.maps import normalize as scale_to_unit


def read_score_map(
    path: Path, *, size: int | None, normalize: bool, max_pixels: int
) -> tuple[NDArray[np.floating], bool]:
    """Read, resize and scale one map, and say whether it shows an object.

    Args:
        path: of the file, see :func:`wsol.data.score_maps.load_score_map`.
        size: side of the square to resize to in pixels; None keeps the map's own size.
        normalize: scale by minimum and maximum; otherwise the map is taken as it is.
        max_pixels: larger maps are refused.

    Returns:
        Float ``(H, W)`` in [0, 1]; and False for a map that is constant or not finite, or, taken
        as it is, zero everywhere.

    Raises:
        ImageError: the file cannot be read, or, taken as it is, leaves [0, 1].
    """
    score_map = load_score_map(path, max_pixels)
    if size is not None:
        score_map = resize(score_map, size)
    if normalize:
        return scale_to_unit(score_map)
    # Also false for what is not a number.
    if not (score_map.min() >= 0 and score_map.max() <= 1):
        raise ImageError(path, "leaves [0, 1], which normalize false takes maps to be in")
    return score_map, bool(score_map.max() > 0)


def resize(score_map: NDArray[np.floating], size: int) -> NDArray[np.floating]:
    """Resize a map to a square by bicubic interpolation, as OpenCV's ``INTER_CUBIC`` does.

    Args:
        score_map: float ``(H, W)``, any range.
        size: side of the result in pixels.

    >>> resize(np.eye(2, dtype=np.float32), 4).shape
    (4, 4)
    """
    if score_map.shape == (size, size):
        return score_map
    pixels = torch.tensor(score_map)[None, None]
    resized = interpolate(pixels, (size, size), mode="bicubic", align_corners=False)
    result: NDArray[np.floating] = resized[0, 0].numpy()
    return result
