"""Synthetic scenes with one or more objects of different classes, sizes and positions.

In contrast to the toy images of ``wsol.data.synthetic.toy``, whose objects class activation maps
cover only in part, the class of an object is its shape; pattern and color are random. Objects have
sizes from a fifth of the image's side to nearly all of it, at any position.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from wsol.data.synthetic.toy import (
    BOX_COLUMNS,
    SIZE,
    Points,
    circle,
    silhouette,
    solid_box,
    stripes,
    textured_background,
    to_image,
    with_noise,
    write_rows,
)


def _disc(x: float, y: float, radius_x: float, radius_y: float) -> Points:
    return [(x + radius_x * cosine, y + radius_y * sine) for cosine, sine in circle(40)]


SHAPES: dict[str, list[Points]] = {
    "bottle": [
        [(-0.1, -1), (0.1, -1), (0.1, -0.5), (0.3, -0.3), (0.3, 1)],
        [(-0.1, -1), (0.1, -1), (0.1, 1), (-0.3, 1), (-0.3, -0.3), (-0.1, -0.5)],
        [(0.3, -0.3), (0.3, 1), (-0.3, 1), (-0.3, -0.3)],
    ],
    "fish": [_disc(-0.2, 0, 0.8, 0.45), [(0.45, 0), (1, -0.5), (0.85, 0), (1, 0.5)]],
    "house": [
        [(-0.8, -0.1), (0, -1), (0.8, -0.1)],
        [(-0.65, -0.15), (0.65, -0.15), (0.65, 0.9), (-0.65, 0.9)],
    ],
    "key": [
        _disc(-0.65, 0, 0.35, 0.35),
        [(-0.4, -0.12), (1, -0.12), (1, 0.12), (-0.4, 0.12)],
        [(0.82, 0), (1, 0), (1, 0.4), (0.82, 0.4)],
        [(0.42, 0), (0.6, 0), (0.6, 0.35), (0.42, 0.35)],
    ],
    "mushroom": [
        [*_disc(0, -0.1, 0.9, 0.8)[20:40], (0.9, -0.05), (-0.9, -0.05)],
        [(-0.22, -0.1), (0.22, -0.1), (0.3, 0.95), (-0.3, 0.95)],
    ],
    "star": [
        [
            (radius * math.sin(turn * math.pi / 5), -radius * math.cos(turn * math.pi / 5))
            for turn in range(10)
            for radius in (1.0 if turn % 2 == 0 else 0.42,)
        ]
    ],
}
"""Polygons of each class, centered at the origin, with a radius of about one."""

CLASSES = tuple(SHAPES)

LEAST, MOST = 0.2, 0.9
"""Range of the larger side of an object, as a fraction of the image's side."""


@dataclass(frozen=True)
class Scene:
    """RGB image, 224 x 224, with classes `(K,)` and boxes `(K, 4)`, x0 y0 x1 y1, of its objects."""

    image: Image.Image
    labels: NDArray[np.int64]
    boxes: NDArray[np.float64]


def toy_scenes(count: int, seed: int, max_objects: int = 1) -> Iterator[Scene]:
    """Yield scenes; the class of the first object cycles through all classes.

    An image has up to `max_objects` objects of up to three classes.
    """
    random = np.random.default_rng(seed)
    for index in range(count):
        number = int(random.integers(1, max_objects + 1))
        kinds = random.permutation(len(CLASSES))[:3]
        labels = [index % len(CLASSES), *random.choice(kinds, number - 1).tolist()]
        yield _scene(_few_kinds(labels), random)


def write_scenes(
    root: Path, *, train: int = 300, test: int = 150, seed: int = 0, max_objects: int = 1
) -> None:
    """Write a data set of scenes, with the boxes of the test split in ``boxes.csv``.

    Scenes of one object are written to class folders. Scenes of more objects are written to split
    folders, with the classes of each image in ``labels.csv``, one row per class.
    """
    boxes: list[Sequence[object]] = []
    labels: list[Sequence[object]] = []
    for number, (split, count) in enumerate((("train", train), ("test", test))):
        scenes = toy_scenes(count, seed * 2 + number, max_objects)
        for index, scene in enumerate(scenes):
            names = [CLASSES[label] for label in scene.labels]
            folder = Path(split, names[0]) if max_objects == 1 else Path(split)
            path = folder / f"{index:04d}.jpg"
            (root / folder).mkdir(parents=True, exist_ok=True)
            scene.image.save(root / path, quality=92)
            labels += [(path.as_posix(), name) for name in dict.fromkeys(names)]
            if split == "test":
                rows = zip(names, scene.boxes.tolist(), strict=True)
                boxes += [(path.as_posix(), name, *box) for name, box in rows]
    write_rows(root / "boxes.csv", BOX_COLUMNS, boxes)
    if max_objects > 1:
        write_rows(root / "labels.csv", ("image", "label"), labels)


def _few_kinds(labels: list[int]) -> list[int]:
    """Limit labels to the first three classes."""
    kinds = list(dict.fromkeys(labels))[:3]
    return [label if label in kinds else kinds[0] for label in labels]


def _scene(labels: Sequence[int], random: np.random.Generator) -> Scene:
    image = textured_background(random, SIZE)
    taken = np.zeros((SIZE, SIZE), bool)
    shown: list[int] = []
    boxes: list[tuple[int, int, int, int]] = []
    most = MOST if len(labels) == 1 else 0.45
    for label in labels:
        mask = _place(CLASSES[label], most, taken, random)
        if mask is None:
            continue
        image.paste(_coat(random), mask=mask)
        box = solid_box(mask)
        if box is not None:
            shown.append(label)
            boxes.append(box)
            # A margin, so that objects do not touch.
            x0, y0, x1, y1 = box
            taken[max(y0 - 6, 0) : y1 + 6, max(x0 - 6, 0) : x1 + 6] = True
    shown_boxes = np.array(boxes, np.float64)
    return Scene(with_noise(image, random), np.array(shown, np.int64), shown_boxes)


def _place(
    kind: str, most: float, taken: NDArray[np.bool_], random: np.random.Generator
) -> Image.Image | None:
    """Return the silhouette of an object at a free position, or None if none is found."""
    for _ in range(40):
        mask = _silhouette(kind, random.uniform(LEAST, most), random)
        box = mask.getbbox()
        if box is not None and not taken[box[1] : box[3], box[0] : box[2]].any():
            return mask
    return None


def _silhouette(kind: str, share: float, random: np.random.Generator) -> Image.Image:
    turn, wide = random.uniform(-0.5, 0.5), random.uniform(0.8, 1.25)
    mirror = -1 if random.random() < 0.5 else 1
    cosine, sine = math.cos(turn), math.sin(turn)
    parts = [
        np.array(part) * (mirror * wide, 1) @ np.array([[cosine, sine], [-sine, cosine]])
        for part in SHAPES[kind]
    ]
    every = np.concatenate(parts)
    least, extent = every.min(0), np.ptp(every, axis=0)
    factor = share * SIZE / extent.max()
    corner = random.uniform(0, 1, 2) * (SIZE - extent * factor)
    return silhouette((part - least) * factor + corner for part in parts)


def _coat(random: np.random.Generator) -> Image.Image:
    """Return a random pattern of two colors, independent of the class."""
    turn, pitch = random.uniform(0, math.pi), random.uniform(0.15, 0.6)
    y, x = np.mgrid[:SIZE, :SIZE]
    along = stripes(turn, pitch)
    across = np.sin((y * math.cos(turn) - x * math.sin(turn)) * pitch)
    pattern = (along, along * across, np.zeros_like(along))[int(random.integers(3))]
    hue = random.uniform(30, 225, 3)
    contrast = random.uniform(15, 60) * pattern[..., None] * random.uniform(-1, 1, 3)
    return to_image(hue + contrast)


PHOTOGRAPH_SIZE = 500, 375
"""Width and height in pixels of most images of ImageNet and CUB-200-2011."""

QUALITY = 90
CONTRAST = 50
FALL = 1.2


def photograph(seed: int, size: tuple[int, int] = PHOTOGRAPH_SIZE) -> Image.Image:
    """Return a color image of clouds, with the statistics of a photograph."""
    width, height = size
    random = np.random.default_rng(seed)
    light, red, green = (_clouds(random, width, height, FALL + fall) for fall in (0, 0.3, 0.3))
    colours = (light + 0.3 * red, light - 0.15 * (red + green), light + 0.3 * green)
    levels = 128 + CONTRAST * np.stack(colours, axis=-1)
    return to_image(levels)


def write_photographs(
    folder: Path, count: int, seed: int = 0, size: tuple[int, int] = PHOTOGRAPH_SIZE
) -> list[Path]:
    """Write JPEG files of about 90 KB to two class folders, and return their paths.

    Args:
        folder: output folder, which may be new.
        count: number of files.
        seed: random seed of the first image.
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
    """Return noise ``(height, width)`` with mean 0 and std 1, whose amplitudes fall with f."""
    frequencies = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width))
    frequencies[0, 0] = np.inf
    phases = random.standard_normal((2, *frequencies.shape))
    waves = np.fft.irfft2((phases[0] + 1j * phases[1]) / frequencies**fall, (height, width))
    return np.asarray(waves / waves.std())
