"""Masks and heat maps as PNG."""

from pathlib import Path

import numpy as np
from PIL import Image

from wsol.formats._files import AtomicFolder
from wsol.results.localization import Localization, PredictionInfo, box_masks
from wsol.results.store import encode_map

_MOST = 255


class MasksWriter:
    """Writes ``masks/``, an indexed PNG of the image's size for each that could be read.

    A pixel has the number of its box, from 1 in the order of all formats, the likeliest first and
    on top; 0 is background. Any value above 0 is object.

    Args:
        folder: to write to; it exists.
        info: has the threshold.

    Raises:
        ConfigError: a folder ``masks`` is there that was not written by wsol.
    """

    def __init__(self, folder: Path, info: PredictionInfo) -> None:
        """Start with no images."""
        self.info = info
        self.folder = AtomicFolder(folder, "masks")

    def add(self, result: Localization) -> None:
        """Add one image."""
        if result.error is not None:
            self.folder.note(result)
            return
        width, height = result.original_size
        numbers = np.zeros((height, width), np.uint8)
        for number, mask in enumerate(box_masks(result, self.info.threshold), start=1):
            numbers[mask & (numbers == 0)] = min(number, _MOST)
        file = self.folder.named(result, ".png")
        self.folder.note(result, file)
        image = Image.fromarray(numbers)
        image.putpalette(_colours())
        image.save(self.folder.path(file), "png")

    def close(self) -> None:
        """Move the folder to its place."""
        self.folder.close()


def _colours() -> bytes:
    """Return 256 colours that differ, black first: the bits of a number shared among the three."""
    index = np.arange(_MOST + 1)
    colours = np.zeros((_MOST + 1, 3), np.uint8)
    for bit in range(8):
        colours[:, bit % 3] |= (((index >> bit) & 1) << (7 - bit // 3)).astype(np.uint8)
    return colours.tobytes()


class HeatMapsWriter:
    """Writes ``heatmaps/``, an 8-bit grey PNG of each image's heat map, at the map's own size.

    The map covers the whole image; 0 is a score of 0 and 255 of 1. ``wsol evaluate --maps``
    takes the folder.

    Args:
        folder: to write to; it exists.
        info: of the prediction.

    Raises:
        ConfigError: a folder ``heatmaps`` is there that was not written by wsol.
    """

    def __init__(self, folder: Path, info: PredictionInfo) -> None:
        """Start with no images."""
        self.folder = AtomicFolder(folder, "heatmaps")

    def add(self, result: Localization) -> None:
        """Add one image."""
        png = encode_map(result.heat_map)
        if png is None:
            self.folder.note(result)
            return
        file = self.folder.named(result, ".png")
        self.folder.note(result, file)
        self.folder.path(file).write_bytes(png)

    def close(self) -> None:
        """Move the folder to its place."""
        self.folder.close()
