"""Masks and heat maps as PNG files."""

import numpy as np
from PIL import Image

from wsol.formats._files import FolderWriter
from wsol.results.localization import Localization, box_masks
from wsol.results.store import encode_map

_MOST = 255


class MasksWriter(FolderWriter):
    """Writes ``masks/``, with an indexed PNG in the original size for each readable image.

    The value of a pixel is the number of its box, from 1 by descending score, as in all formats; if
    boxes overlap, the highest score wins. 0 is background; any value above 0 is object.
    """

    name = "masks"

    def write(self, result: Localization) -> str:
        """Write the mask of an image."""
        width, height = result.original_size
        numbers = np.zeros((height, width), np.uint8)
        for number, mask in enumerate(box_masks(result, self.info.threshold), start=1):
            numbers[mask & (numbers == 0)] = min(number, _MOST)
        file = self.folder.named(result, ".png")
        image = Image.fromarray(numbers)
        image.putpalette(_colours())
        image.save(self.folder.path(file), "png")
        return file


def _colours() -> bytes:
    """Return a palette of 256 distinct colors, black first."""
    index = np.arange(_MOST + 1)
    colours = np.zeros((_MOST + 1, 3), np.uint8)
    for bit in range(8):
        colours[:, bit % 3] |= (((index >> bit) & 1) << (7 - bit // 3)).astype(np.uint8)
    return colours.tobytes()


class HeatMapsWriter(FolderWriter):
    """Writes ``heatmaps/``, with an 8-bit gray PNG of each heat map, in the size of the map.

    The map covers the whole image; 0 is a score of 0, and 255 a score of 1. The folder can be
    passed to ``wsol evaluate --maps``.
    """

    name = "heatmaps"

    def write(self, result: Localization) -> str:
        """Write the heat map of an image."""
        png = encode_map(result.heat_map)
        if png is None:
            return ""
        file = self.folder.named(result, ".png")
        self.folder.path(file).write_bytes(png)
        return file
