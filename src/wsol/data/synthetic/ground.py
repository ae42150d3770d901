"""The ground that toy objects stand on."""

import numpy as np
from PIL import Image


def textured_ground(random: np.random.Generator, size: int) -> Image.Image:
    """Return a ground of soft colour patches.

    Args:
        random: decides it.
        size: side of the picture in pixels.

    >>> textured_ground(np.random.default_rng(0), 64).size
    (64, 64)
    """
    coarse = random.uniform(60, 190, (6, 6, 1)) + random.uniform(-25, 25, (6, 6, 3))
    fine = random.uniform(-30, 30, (40, 40, 1)) + np.zeros((40, 40, 3))
    layers = [
        np.asarray(
            Image.fromarray(np.clip(layer + 128 * (layer is fine), 0, 255).astype(np.uint8)).resize(
                (size, size), Image.Resampling.BICUBIC
            ),
            np.float64,
        )
        for layer in (coarse, fine)
    ]
    return Image.fromarray(np.clip(layers[0] + layers[1] - 128, 0, 255).astype(np.uint8))
