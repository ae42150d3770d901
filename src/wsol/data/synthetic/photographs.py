"""Pictures that are as much work as photographs, for measuring speed where there are none.

Neighbouring pixels of a photograph are alike: its amplitudes fall with the frequency. Noise with
such a spectrum makes JPEG files of a photograph's size, so reading them takes as long.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIZE = 500, 375
"""Width and height in pixels, those of most photographs of ImageNet and CUB-200-2011."""

QUALITY = 90
CONTRAST = 50
FALL = 1.2


def photograph(seed: int, size: tuple[int, int] = SIZE) -> Image.Image:
    """Return a cloudy picture in colour.

    Args:
        seed: of the picture.
        size: width and height in pixels.

    >>> photograph(0).size
    (500, 375)
    """
    width, height = size
    random = np.random.default_rng(seed)
    light, red, green = (_clouds(random, width, height, FALL + fall) for fall in (0, 0.3, 0.3))
    colours = (light + 0.3 * red, light - 0.15 * (red + green), light + 0.3 * green)
    levels = 128 + CONTRAST * np.stack(colours, axis=-1)
    return Image.fromarray(np.clip(levels, 0, 255).astype(np.uint8))


def write_photographs(
    folder: Path, count: int, seed: int = 0, size: tuple[int, int] = SIZE
) -> list[Path]:
    """Write JPEG files of about 90 KB, in a folder for each of two classes, and return them.

    Args:
        folder: to write them in; it may be new.
        count: of files.
        seed: of the pictures.
        size: width and height in pixels.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     files = write_photographs(Path(folder), 2, size=(64, 48))
    ...     [file.relative_to(folder).as_posix() for file in files]
    ['a/00000.jpg', 'b/00001.jpg']
    """
    files = []
    for number in range(count):
        file = folder / "ab"[number % 2] / f"{number:05d}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        photograph(seed + number, size).save(file, quality=QUALITY)
        files.append(file)
    return files


def _clouds(
    random: np.random.Generator, width: int, height: int, fall: float
) -> NDArray[np.float64]:
    """Return noise ``(height, width)`` of mean 0 and deviation 1, amplitudes falling with f."""
    frequencies = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width))
    frequencies[0, 0] = np.inf
    phases = random.standard_normal((2, *frequencies.shape))
    waves = np.fft.irfft2((phases[0] + 1j * phases[1]) / frequencies**fall, (height, width))
    return np.asarray(waves / waves.std())
