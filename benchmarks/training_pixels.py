"""Difference of training crops from Pillow's decoding and resizing.

    python benchmarks/training_pixels.py ../shared/data/cub10/images

Prints mean differences in levels of 255 over a third of a folder's photographs: of torch's resizing
to 256 pixels, and of JPEG decoded at a smaller scale, by the ratio of the decoded to the requested
side. Sides are small, so that photographs of usual size are decoded at a smaller scale. Bicubic
instead of bilinear resizing is shown for comparison.
"""

import argparse
import statistics
from collections import defaultdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from wsol.data.images import decode_image, find_images, load_image
from wsol.data.transforms import TrainTransform

SIDES = (60, 80, 90, 100, 110, 120, 128, 150, 160, 180)


def resized(image: Image.Image, side: int, how: str = "BILINEAR") -> NDArray[np.int64]:
    """Return Pillow's pixels of a resized square."""
    return np.asarray(image.resize((side, side), Image.Resampling[how])).astype(np.int64)


def difference(one: NDArray[np.int64], other: NDArray[np.int64]) -> float:
    """Return the mean difference."""
    return float(np.abs(one - other).mean())


def main() -> None:
    """Print the differences."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", type=Path, help="folder of photographs")
    folder = parser.parse_args().images
    torch_resizing: list[float] = []
    scaled: dict[float, list[tuple[float, float]]] = defaultdict(list)
    names = find_images(folder)[::3]
    for name in names:
        image = load_image(folder / name)
        # The crop is the whole image; the flip is random, so compare both directions.
        found = TrainTransform(256, 256)(image, (0,)).astype(np.int64)
        whole = resized(image, 256)
        torch_resizing.append(min(difference(found, whole), difference(found[:, ::-1], whole)))
        for side in SIDES:
            small = decode_image(folder / name, least_side=side).image
            if small.size == image.size:
                continue
            exact = resized(image, side)
            step = np.floor(4 * min(small.size) / side) / 4
            bicubic = difference(resized(image, side, "BICUBIC"), exact)
            scaled[step].append((difference(resized(small, side), exact), bicubic))
    print(f"{len(names)} photographs; torch's resizing: {statistics.mean(torch_resizing):.3f}\n")
    print("| times the side left | crops | scaled | bicubic |\n|---|---|---|---|")
    for step, pairs in sorted(scaled.items()):
        means = " | ".join(f"{mean:.2f}" for mean in np.mean(pairs, axis=0))
        print(f"| {step:.2f} to {step + 0.25:.2f} | {len(pairs)} | {means} |")


if __name__ == "__main__":
    main()
