"""Toy images with a small, very discriminative part and a large, less discriminative one.

Each image shows an animal on a textured background. A badge on its body always has the shape and
color of its class. Its coat has the stripes and hue of its class in most images only. The
ground-truth box contains the whole animal, so a classifier that only uses the badge predicts the
correct class but a wrong box.
"""

import csv
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter


def textured_background(random: np.random.Generator, size: int) -> Image.Image:
    """Return a square background of soft color patches."""
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


CLASSES = ("cross", "disc", "square", "triangle")
"""Classes, by the shape of the badge."""

COAT_HUES = ((176, 96, 64), (96, 112, 176), (96, 152, 88), (168, 136, 72))
BADGE_HUES = ((250, 235, 60), (250, 70, 200), (60, 240, 240), (245, 245, 245))
COAT_TELLS = 0.9
"""Fraction of images with the coat of the class; the coat of other images is random."""

SIZE = 224
_SCALE = 2


@dataclass(frozen=True)
class ToyImage:
    """RGB image, 224 x 224, with class and box ``(4,)``, x0 y0 x1 y1, of the whole animal."""

    image: Image.Image
    label: int
    box: NDArray[np.float64]


def toy_images(count: int, seed: int) -> Iterator[ToyImage]:
    """Yield images, cycling through the classes.

    >>> first = next(toy_images(1, seed=0))
    >>> first.image.size, CLASSES[first.label], bool((first.box[2:] > first.box[:2]).all())
    ((224, 224), 'cross', True)
    """
    random = np.random.default_rng(seed)
    for index in range(count):
        yield _image(index % len(CLASSES), random)


def write_toy(
    root: Path, *, train: int = 256, val: int = 40, test: int = 120, seed: int = 0
) -> None:
    """Write toy images to class folders, and the boxes of val and test to ``boxes.csv``."""
    rows: list[tuple[str, str, float, float, float, float]] = []
    for number, (split, count) in enumerate((("train", train), ("val", val), ("test", test))):
        for index, image in enumerate(toy_images(count, seed=seed * 3 + number)):
            name = CLASSES[image.label]
            path = Path(split, name, f"{index:04d}.jpg")
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            image.image.save(root / path, quality=92)
            if split != "train":
                x0, y0, x1, y1 = image.box.tolist()
                rows.append((path.as_posix(), name, x0, y0, x1, y1))
    with (root / "boxes.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("image", "class", "x0", "y0", "x1", "y1"))
        writer.writerows(rows)


def _image(label: int, random: np.random.Generator) -> ToyImage:
    coat = label if random.random() < COAT_TELLS else int(random.integers(len(CLASSES)))
    body, badge_at, badge_radius = _animal(random)
    mask = body.resize((SIZE, SIZE), Image.Resampling.BOX)
    image = textured_background(random, SIZE)
    image.paste(_coat(coat, random), mask=mask)
    _draw_badge(image, label, badge_at, badge_radius, float(random.uniform(0, 2 * math.pi)))
    noise = random.normal(0, 5, (SIZE, SIZE, 3))
    pixels = np.clip(np.asarray(image, np.float64) + noise, 0, 255).astype(np.uint8)
    box = np.array(mask.point(lambda value: 255 * (value >= 128)).getbbox(), np.float64)
    return ToyImage(Image.fromarray(pixels), label, box)


def _animal(random: np.random.Generator) -> tuple[Image.Image, tuple[float, float], float]:
    """Return a silhouette in double size, and position and radius of the badge in full size."""
    length, width = random.uniform(130, 196), random.uniform(54, 84)
    angle = random.uniform(-0.5, 0.5) + (math.pi if random.random() < 0.5 else 0.0)
    reach = length / 2 + 6
    centre = (
        random.uniform(reach * abs(math.cos(angle)), SIZE - reach * abs(math.cos(angle))),
        (random.uniform(0.42, 0.58) * SIZE),
    )

    def point(along: float, across: float) -> tuple[float, float]:
        x = centre[0] + along * math.cos(angle) - across * math.sin(angle)
        y = centre[1] + along * math.sin(angle) + across * math.cos(angle)
        return x, y

    def blob(along: float, radius_along: float, radius_across: float) -> list[tuple[float, float]]:
        turns = np.linspace(0, 2 * math.pi, 60)
        return [
            point(along + radius_along * math.cos(t), radius_across * math.sin(t)) for t in turns
        ]

    canvas = Image.new("L", (SIZE * _SCALE, SIZE * _SCALE))
    pen = ImageDraw.Draw(canvas)
    parts = [
        blob(0, length * 0.36, width / 2),
        blob(length * 0.36, length * 0.14, width * 0.3),
        [
            point(-length * 0.25, 0),
            point(-length * 0.5, -width * 0.4),
            point(-length * 0.5, width * 0.4),
        ],
    ]
    for part in parts:
        pen.polygon([(x * _SCALE, y * _SCALE) for x, y in part], fill=255)
    return canvas, point(length * 0.36, 0), float(width * 0.2)


def _coat(kind: int, random: np.random.Generator) -> Image.Image:
    """Return faint stripes in the hue and direction of a class."""
    turn = math.pi * kind / len(CLASSES) + random.uniform(-0.2, 0.2)
    y, x = np.mgrid[:SIZE, :SIZE]
    wave = np.sin((x * math.cos(turn) + y * math.sin(turn)) * random.uniform(0.35, 0.5))
    hue = np.array(COAT_HUES[kind]) + random.uniform(-18, 18, 3)
    pixels = hue + 22 * wave[..., None]
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _draw_badge(
    image: Image.Image, label: int, centre: tuple[float, float], radius: float, turn: float
) -> None:
    """Draw the badge of a class in its color on black."""
    shape: list[tuple[float, float]]
    if CLASSES[label] == "disc":
        shape = [(math.cos(t), math.sin(t)) for t in np.linspace(0, 2 * math.pi, 24)]
    elif CLASSES[label] == "triangle":
        shape = [(math.cos(t), math.sin(t)) for t in np.linspace(0, 2 * math.pi, 4)]
    elif CLASSES[label] == "square":
        shape = [(math.cos(t), math.sin(t)) for t in np.linspace(0, 2 * math.pi, 5)]
    else:
        arm = 0.35
        quarter = [(1.0, arm), (arm, arm), (arm, 1.0), (-arm, 1.0), (-arm, arm), (-1.0, arm)]
        shape = quarter + [(-x, -y) for x, y in quarter]
    large = image.resize((SIZE * _SCALE, SIZE * _SCALE))
    pen = ImageDraw.Draw(large)
    x, y = centre[0] * _SCALE, centre[1] * _SCALE
    edge = radius * _SCALE * 1.25
    pen.ellipse((x - edge, y - edge, x + edge, y + edge), fill=(20, 20, 20))
    cosine, sine = math.cos(turn) * radius * _SCALE, math.sin(turn) * radius * _SCALE
    points = [(x + a * cosine - b * sine, y + a * sine + b * cosine) for a, b in shape]
    pen.polygon(points, fill=BADGE_HUES[label])
    image.paste(large.resize((SIZE, SIZE), Image.Resampling.BOX).filter(ImageFilter.SMOOTH))
