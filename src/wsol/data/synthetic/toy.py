"""Toy images with a small, very discriminative part and a large, less discriminative one.

Each image shows an animal on a textured background. A badge on its body always has the shape and
color of its class. Its coat has the stripes and hue of its class in most images only. The
ground-truth box contains the whole animal, so a classifier that only uses the badge predicts the
correct class but a wrong box.
"""

import csv
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

SIZE = 224
_SCALE = 2
"""Factor by which shapes are drawn larger, to smooth their edges."""

Points = list[tuple[float, float]]


def to_image(pixels: NDArray[np.float64]) -> Image.Image:
    """Return an RGB image of levels, clipped to 0 to 255."""
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def with_noise(image: Image.Image, random: np.random.Generator) -> Image.Image:
    """Return an image with noise."""
    return to_image(np.asarray(image, np.float64) + random.normal(0, 5, (SIZE, SIZE, 3)))


def textured_background(random: np.random.Generator, size: int) -> Image.Image:
    """Return a square background of soft color patches."""
    coarse = random.uniform(60, 190, (6, 6, 1)) + random.uniform(-25, 25, (6, 6, 3))
    fine = 128 + random.uniform(-30, 30, (40, 40, 1)) + np.zeros((40, 40, 3))
    layers = [
        np.asarray(to_image(layer).resize((size, size), Image.Resampling.BICUBIC), np.float64)
        for layer in (coarse, fine)
    ]
    return to_image(layers[0] + layers[1] - 128)


def circle(count: int) -> Points:
    """Return points on the unit circle, of which the first is also the last."""
    return [(math.cos(turn), math.sin(turn)) for turn in np.linspace(0, 2 * math.pi, count)]


def silhouette(parts: Iterable[Iterable[tuple[float, float]]]) -> Image.Image:
    """Return a gray mask of polygons in pixels of the image, with smooth edges."""
    canvas = Image.new("L", (SIZE * _SCALE, SIZE * _SCALE))
    pen = ImageDraw.Draw(canvas)
    for part in parts:
        pen.polygon([(float(x) * _SCALE, float(y) * _SCALE) for x, y in part], fill=255)
    return canvas.resize((SIZE, SIZE), Image.Resampling.BOX)


def solid_box(mask: Image.Image) -> tuple[int, int, int, int] | None:
    """Return the box of the pixels that a mask covers by half or more."""
    return mask.point(lambda value: 255 * (value >= 128)).getbbox()


def stripes(turn: float, pitch: float) -> NDArray[np.float64]:
    """Return waves ``(SIZE, SIZE)`` in a direction."""
    y, x = np.mgrid[:SIZE, :SIZE]
    return np.asarray(np.sin((x * math.cos(turn) + y * math.sin(turn)) * pitch))


BOX_COLUMNS = ("image", "class", "x0", "y0", "x1", "y1")


def write_rows(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a CSV file."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)


CLASSES = ("cross", "disc", "square", "triangle")
"""Classes, by the shape of the badge."""

COAT_HUES = ((176, 96, 64), (96, 112, 176), (96, 152, 88), (168, 136, 72))
BADGE_HUES = ((250, 235, 60), (250, 70, 200), (60, 240, 240), (245, 245, 245))
COAT_TELLS = 0.9
"""Fraction of images with the coat of the class; the coat of other images is random."""


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
    rows: list[Sequence[object]] = []
    for number, (split, count) in enumerate((("train", train), ("val", val), ("test", test))):
        for index, image in enumerate(toy_images(count, seed=seed * 3 + number)):
            name = CLASSES[image.label]
            path = Path(split, name, f"{index:04d}.jpg")
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            image.image.save(root / path, quality=92)
            if split != "train":
                rows.append((path.as_posix(), name, *image.box.tolist()))
    write_rows(root / "boxes.csv", BOX_COLUMNS, rows)


def _image(label: int, random: np.random.Generator) -> ToyImage:
    coat = label if random.random() < COAT_TELLS else int(random.integers(len(CLASSES)))
    mask, badge_at, badge_radius = _animal(random)
    image = textured_background(random, SIZE)
    image.paste(_coat(coat, random), mask=mask)
    _draw_badge(image, label, badge_at, badge_radius, float(random.uniform(0, 2 * math.pi)))
    return ToyImage(with_noise(image, random), label, np.array(solid_box(mask), np.float64))


def _animal(random: np.random.Generator) -> tuple[Image.Image, tuple[float, float], float]:
    """Return a silhouette, and position and radius of the badge."""
    length, width = random.uniform(130, 196), random.uniform(54, 84)
    angle = random.uniform(-0.5, 0.5) + (math.pi if random.random() < 0.5 else 0.0)
    cosine, sine = math.cos(angle), math.sin(angle)
    margin = (length / 2 + 6) * abs(cosine)
    center = random.uniform(margin, SIZE - margin), random.uniform(0.42, 0.58) * SIZE

    def point(along: float, across: float) -> tuple[float, float]:
        x = center[0] + along * cosine - across * sine
        y = center[1] + along * sine + across * cosine
        return x, y

    def blob(along: float, radius_along: float, radius_across: float) -> Points:
        return [point(along + radius_along * x, radius_across * y) for x, y in circle(60)]

    head = length * 0.36
    tail = [(-length * 0.25, 0), (-length * 0.5, -width * 0.4), (-length * 0.5, width * 0.4)]
    mask = silhouette(
        [
            blob(0, length * 0.36, width / 2),
            blob(head, length * 0.14, width * 0.3),
            [point(*corner) for corner in tail],
        ]
    )
    return mask, point(head, 0), float(width * 0.2)


def _coat(kind: int, random: np.random.Generator) -> Image.Image:
    """Return faint stripes in the hue and direction of a class."""
    turn = math.pi * kind / len(CLASSES) + random.uniform(-0.2, 0.2)
    wave = stripes(turn, random.uniform(0.35, 0.5))
    hue = np.array(COAT_HUES[kind]) + random.uniform(-18, 18, 3)
    return to_image(hue + 22 * wave[..., None])


def _badge(kind: str) -> Points:
    """Return the shape of a class, with a radius of one."""
    if kind != "cross":
        return circle({"disc": 24, "triangle": 4, "square": 5}[kind])
    arm = 0.35
    half = [(1.0, arm), (arm, arm), (arm, 1.0), (-arm, 1.0), (-arm, arm), (-1.0, arm)]
    return half + [(-x, -y) for x, y in half]


def _draw_badge(
    image: Image.Image, label: int, center: tuple[float, float], radius: float, turn: float
) -> None:
    """Draw the badge of a class in its color on black."""
    large = image.resize((SIZE * _SCALE, SIZE * _SCALE))
    pen = ImageDraw.Draw(large)
    x, y = center[0] * _SCALE, center[1] * _SCALE
    edge = radius * _SCALE * 1.25
    pen.ellipse((x - edge, y - edge, x + edge, y + edge), fill=(20, 20, 20))
    cosine, sine = math.cos(turn) * radius * _SCALE, math.sin(turn) * radius * _SCALE
    shape = _badge(CLASSES[label])
    points = [(x + a * cosine - b * sine, y + a * sine + b * cosine) for a, b in shape]
    pen.polygon(points, fill=BADGE_HUES[label])
    image.paste(large.resize((SIZE, SIZE), Image.Resampling.BOX).filter(ImageFilter.SMOOTH))
