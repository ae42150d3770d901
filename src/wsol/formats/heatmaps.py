"""Heat maps as PNG."""

from pathlib import Path

from wsol.formats.tree import Tree
from wsol.results.about import About
from wsol.results.localization import Localization
from wsol.results.rows import encode_map


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
