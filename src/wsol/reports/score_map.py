"""Score maps as a report carries them: small, eight bits."""

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from wsol.maps.levels import grey_levels

MAP_SIDE = 64
"""Longest side of a carried map in pixels."""


def small_map(heat_map: NDArray[np.floating], side: int = MAP_SIDE) -> NDArray[np.uint8]:
    """Return the grey levels of a map, each the mean of what it covers, uint8 ``(h, w)``.

    Args:
        heat_map: float ``(H, W)`` in [0, 1].
        side: longest side of the result; smaller maps stay as they are.

    >>> small_map(np.array([[0.0, 1.0], [0.0, 1.0]]), side=1)
    array([[128]], dtype=uint8)
    """
    grey = grey_levels(heat_map)
    height, width = grey.shape
    scale = side / max(width, height)
    if scale >= 1:
        return grey
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    means = Image.fromarray(grey.astype(np.float32)).resize(size, Image.Resampling.BOX)
    # Half up, as there is no reason to prefer even levels.
    return np.floor(np.asarray(means) + 0.5).astype(np.uint8)


def encode_small_map(grey: NDArray[np.uint8]) -> str:
    """Return a map as PNG in base64.

    Args:
        grey: uint8 ``(h, w)``.

    >>> encode_small_map(np.zeros((1, 1), np.uint8))[:11]
    'iVBORw0KGgo'
    """
    png = io.BytesIO()
    Image.fromarray(grey).save(png, "png", optimize=True)
    return base64.b64encode(png.getvalue()).decode("ascii")
