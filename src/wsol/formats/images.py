"""Masks and heat maps as PNG."""

from pathlib import Path

import numpy as np
from PIL import Image

from wsol.formats._files import Tree
from wsol.results.localization import About, Localization, box_masks
from wsol.results.store import encode_map

_MOST = 255


class MasksWriter:
    """Writes ``masks/``, an indexed PNG of the picture's size for each that could be read.

    A pixel has the number of its box, from 1 in the order of all formats, the likeliest first and
    on top; 0 is background. Any value above 0 is object.

    Args:
        folder: to write to; it exists.
        about: has the threshold.

    Raises:
        ConfigError: a folder ``masks`` is there that was not written by wsol.
    """

    def __init__(self, folder: Path, about: About) -> None:
        """Start with no pictures."""
        self.about = about
        self.tree = Tree(folder, "masks")

    def add(self, result: Localization) -> None:
        """Add one picture."""
        if result.error is not None:
            self.tree.note(result)
            return
        width, height = result.image_size
        numbers = np.zeros((height, width), np.uint8)
        for number, mask in enumerate(box_masks(result, self.about.threshold), start=1):
            numbers[mask & (numbers == 0)] = min(number, _MOST)
        file = self.tree.named(result, ".png")
        self.tree.note(result, file)
        image = Image.fromarray(numbers)
        image.putpalette(_colours())
        image.save(self.tree.path(file), "png")

    def close(self) -> None:
        """Move the folder to its place."""
        self.tree.close()


def _colours() -> bytes:
    """Return 256 colours that differ, black first: the bits of a number shared among the three."""
    index = np.arange(_MOST + 1)
    colours = np.zeros((_MOST + 1, 3), np.uint8)
    for bit in range(8):
        colours[:, bit % 3] |= (((index >> bit) & 1) << (7 - bit // 3)).astype(np.uint8)
    return colours.tobytes()


class HeatMapsWriter:
    """Writes ``heatmaps/``, an 8-bit grey PNG of each picture's heat map, at the map's own size.

    The map covers the whole picture; 0 is a score of 0 and 255 of 1. ``wsol evaluate --maps``
    takes the folder.

    Args:
        folder: to write to; it exists.
        about: of the prediction.

    Raises:
        ConfigError: a folder ``heatmaps`` is there that was not written by wsol.
    """

    def __init__(self, folder: Path, about: About) -> None:
        """Start with no pictures."""
        self.tree = Tree(folder, "heatmaps")

    def add(self, result: Localization) -> None:
        """Add one picture."""
        png = encode_map(result.heat_map)
        if png is None:
            self.tree.note(result)
            return
        file = self.tree.named(result, ".png")
        self.tree.note(result, file)
        self.tree.path(file).write_bytes(png)

    def close(self) -> None:
        """Move the folder to its place."""
        self.tree.close()
