"""One picture with its heat map, predicted and true boxes."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

PREDICTED, TRUE = (255, 64, 0), (0, 230, 64)
HEAT_SHARE = 0.45
PEN = 3

STOPS = (0, 50, 102, 128, 153, 204, 255)
RAMP = (
    (40, 20, 90),
    (30, 90, 230),
    (20, 220, 220),
    (152, 240, 112),
    (240, 220, 40),
    (240, 80, 20),
    (128, 10, 10),
)
"""Colours, red green blue, at some grey levels; between them they blend."""


def draw(
    image: Image.Image,
    heat_map: NDArray[np.floating],
    boxes: NDArray[np.floating],
    true_boxes: NDArray[np.floating] | None = None,
    *,
    side: int = 480,
) -> Image.Image:
    """Return a picture under its heat map, with predicted (orange) and true (green) boxes.

    Args:
        image: RGB, any size.
        heat_map: ``(H, W)`` in [0, 1] over the whole picture; an empty one is left out.
        boxes: ``(N, 4)``, x0 y0 x1 y1 in pixels of the picture.
        true_boxes: the same, or None.
        side: longest side of the result in pixels; smaller pictures keep their size.

    >>> draw(Image.new("RGB", (960, 480)), np.eye(4), np.array([[0.0, 0, 9, 9]])).size
    (480, 240)
    """
    scale = min(side / max(image.size), 1.0)
    size = (max(round(image.width * scale), 1), max(round(image.height * scale), 1))
    canvas = image.resize(size, Image.Resampling.BILINEAR)
    if heat_map.size:
        grey = Image.fromarray((np.clip(heat_map, 0, 1) * 255).astype(np.uint8))
        heat = colours()[np.asarray(grey.resize(size, Image.Resampling.BILINEAR))]
        canvas = Image.blend(canvas, Image.fromarray(heat), HEAT_SHARE)
    pen = ImageDraw.Draw(canvas)
    known = () if true_boxes is None else true_boxes
    for colour, group in ((TRUE, known), (PREDICTED, boxes)):
        for x0, y0, x1, y1 in np.asarray(group, np.float64).reshape(-1, 4) * scale:
            edges = (x0, y0, max(x1 - 1, x0), max(y1 - 1, y0))
            if min(x1 - x0, y1 - y0) < 2 * PEN:
                # The lines would meet, and reach outside the box.
                pen.rectangle(edges, fill=colour)
            else:
                pen.rectangle(edges, outline=colour, width=PEN)
    return canvas


def colours() -> NDArray[np.uint8]:
    """Return the colour of each grey level, ``(256, 3)``: dark blue, cyan, yellow, dark red.

    >>> colours()[[0, 128, 255]].tolist()
    [[40, 20, 90], [152, 240, 112], [128, 10, 10]]
    """
    levels = np.arange(256)
    channels = [np.interp(levels, STOPS, values) for values in zip(*RAMP, strict=True)]
    return np.stack(channels, 1).round().astype(np.uint8)


def grid(rows: Sequence[Sequence[Image.Image]], gap: int = 6) -> Image.Image:
    """Return pictures in rows and columns on white, each cell as large as the largest picture.

    Args:
        rows: pictures, the same number in each row.
        gap: pixels between them.

    >>> grid([[Image.new("RGB", (10, 10)), Image.new("RGB", (20, 10))]], gap=2).size
    (44, 12)
    """
    width = max(picture.width for row in rows for picture in row) + gap
    height = max(picture.height for row in rows for picture in row) + gap
    sheet = Image.new("RGB", (width * len(rows[0]), height * len(rows)), "white")
    for y, row in enumerate(rows):
        for x, picture in enumerate(row):
            sheet.paste(picture, (x * width + gap // 2, y * height + gap // 2))
    return sheet
