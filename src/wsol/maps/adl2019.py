"""Heat map and boxes of the ADL authors: colour map, conversion to gray, fixed thresholds."""

import numpy as np
from numpy.typing import NDArray

from wsol.maps._components import find_components
from wsol.maps.normalize import is_flat, threshold_levels

THRESHOLDS = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35)
"""Thresholds of the authors, as fractions of the gray heat map's maximum."""

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in gray, by ITU-R BT.601 as in OpenCV."""

NO_BOX = (0, 0, 1, 1)
"""The authors' box of a heat map without pixels above the threshold."""


def cubehelix(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the cubehelix colours of values, red, green and blue, ``(...)`` to ``(..., 3)``.

    Args:
        values: float in [0, 1], 0 black and 1 white.

    Source: Green, A colour scheme for the display of astronomical intensity images, Bulletin of
    the Astronomical Society of India 39, 2011, equation 1; start 0.5, rotations -1.5, hue 1 and
    gamma 1.

    >>> cubehelix(np.array([0.0, 1.0])).tolist()
    [[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]]
    """
    angle = 2 * np.pi * (0.5 / 3 - 1.5 * values)
    around = np.stack((np.cos(angle), np.sin(angle)), -1)
    turned = around @ np.array([[-0.14861, -0.29227, 1.97294], [1.78277, -0.90649, 0.0]])
    deviation = values * (1 - values) / 2
    colours: NDArray[np.float64] = (values[..., None] + deviation[..., None] * turned).clip(0, 1)
    return colours


def _gray_of_colours() -> NDArray[np.uint8]:
    """Return the gray level of each of the 256 colours of the heat map."""
    # Colours are truncated to 8 bits, gray levels are rounded.
    colours = np.floor(cubehelix(np.linspace(0, 1, 256)) * 255)
    gray: NDArray[np.uint8] = np.rint(colours @ np.array(LUMA)).astype(np.uint8)
    return gray


GRAY_OF_COLOURS = _gray_of_colours()
"""Gray level of each of the heat map's 256 colours, uint8 ``(256,)``."""


def gray_heat_map(score_map: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Return a score map as the authors' heat map, coloured and turned to gray, uint8 ``(H, W)``.

    Args:
        score_map: raw scores at the size of the heat map, ``(H, W)``; the authors resize class
            activation maps by bilinear interpolation.

    A constant map, or one with NaN or infinite values, is black.

    Source: the authors' published code, as described in ``docs/protocol.md``.

    >>> gray_heat_map(np.array([[-1.0, 0.0, 1.0]])).tolist()
    [[0, 128, 255]]
    """
    least, most = score_map.min(), score_map.max()
    if not (np.isfinite(least) and np.isfinite(most)) or is_flat(least, most):
        return np.zeros(score_map.shape, np.uint8)
    scores = score_map.astype(np.float64)
    share = (scores - np.float64(least)) / (np.float64(most) - np.float64(least))
    gray: NDArray[np.uint8] = GRAY_OF_COLOURS[np.minimum(share * 256, 255).astype(np.uint8)]
    return gray


def fixed_boxes(
    gray: NDArray[np.uint8], thresholds: tuple[float, ...] = THRESHOLDS
) -> NDArray[np.int64]:
    """Return the box of the contour with the largest area at each threshold, int64 ``(T, 4)``.

    Args:
        gray: uint8 ``(H, W)``, see `gray_heat_map`.
        thresholds: ``T`` fractions of the map's maximum, in [0, 1).

    Returns:
        x0 y0 x1 y1 in pixels; x1 and y1 lie one past the last pixel and are not clipped. Without
        pixels above a threshold the box is 0 0 1 1.

    Source: the authors' published code, as described in ``docs/protocol.md``.

    >>> gray = np.zeros((6, 6), np.uint8)
    >>> gray[1:4, 1:4], gray[5] = 100, 20
    >>> fixed_boxes(gray, (0.1, 0.3)).tolist()
    [[1, 1, 4, 4], [1, 1, 4, 4]]
    """
    found = []
    for level in threshold_levels(gray, np.array(thresholds)):
        boxes, largest = find_components(gray > level)
        found.append(boxes[largest] if largest >= 0 else np.array(NO_BOX))
    return np.stack(found)
