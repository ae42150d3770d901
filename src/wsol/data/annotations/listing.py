"""One published split as its files have it, before any picture is looked for."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Listing:
    """Name the images of a split.

    Args:
        source: The file or folder that says so.
        labels: Name of each image to the number of its class as text, None where it is not given.
        boxes: Per image (k, 4) `x0 y0 x1 y1` in pixels; None where the split has none.

    >>> Listing(Path("train.txt"), {"a.jpg": "0"}, None).source.name
    'train.txt'
    """

    source: Path
    labels: dict[str, str | None]
    boxes: tuple[NDArray[np.float64], ...] | None
