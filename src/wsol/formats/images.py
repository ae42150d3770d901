"""Masks as PNG."""

from pathlib import Path

import numpy as np
from PIL import Image

from wsol.formats.tree import Tree
from wsol.results.about import About
from wsol.results.localization import Localization
from wsol.results.masks import box_masks

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
