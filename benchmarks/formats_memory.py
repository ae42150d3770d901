"""Memory growth of writing many predictions, for each format.

    python benchmarks/formats_memory.py [--images 100000] [--formats coco,yolo] [--bound 0.5]

Writes synthetic localizations, each with a name, a heat map and two boxes, with each writer in a
separate process, and prints the growth of its memory after the first tenth, in MB per 1,000 images,
and the time. Exits with 1 if a format grows by more than the bound.
"""

import argparse
import gc
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil

from wsol.formats import PredictionInfo, create_writer, list_formats
from wsol.results.localization import Localization
from wsol.results.store import PredictionWriter

SIZE = (64, 48)


def localization(number: int) -> Localization:
    """Return the localization of an image with two boxes that depend on the number."""
    heat_map = np.zeros((8, 8), np.float32)
    x, y = number % 4, number // 4 % 4
    heat_map[y : y + 3, x : x + 4] = 1
    boxes = np.array([[8 * x, 6 * y, 8 * x + 32, 6 * y + 18], [1.0, 2, 3 + number % 50, 4]])
    return Localization(
        f"{number % 1000:03d}/{number:08d} photograph.jpg",
        SIZE,
        label="crow",
        class_index=0,
        heat_map=heat_map,
        boxes=boxes,
        box_scores=np.array([0.9, 0.1]),
        box_labels=np.array([0, 1]),
    )


def measure(name: str, images: int) -> None:
    """Write all in one format, and print growth in MB, seconds and peak memory in MB."""
    with tempfile.TemporaryDirectory() as folder:
        out, photos = Path(folder, "out"), Path(folder, "photos")
        out.mkdir()
        photos.mkdir()
        photo = photos / "photo.jpg"
        photo.touch()
        info = OnePhoto(("crow", "wren"), photo, 0.2)
        writer = PredictionWriter(out, info) if name == "record" else create_writer(name, out, info)
        process, begun, first = psutil.Process(), time.perf_counter(), 0
        for number in range(images):
            if number == images // 10:
                gc.collect()
                first = process.memory_info().rss
            writer.add(localization(number))
        writer.close()
        gc.collect()
        grown = (process.memory_info().rss - first) / 2**20
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(grown, time.perf_counter() - begun, peak)


class OnePhoto(PredictionInfo):
    """Prediction info with one file for every image."""

    def path(self, result: Localization) -> Path:
        """Return the file."""
        return self.images


def main() -> int:
    """Measure each format, and print one line per format."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--formats", default=",".join(["record", *list_formats()]))
    parser.add_argument("--bound", type=float, default=0.5)
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure(options.measure, options.images)
        return 0
    too_much = 0
    print(f"{options.images} images; MB per 1,000 more, seconds, peak MB")
    for name in options.formats.split(","):
        command = [sys.executable, __file__, "--images", str(options.images), "--measure", name]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        grown, seconds, peak = map(float, done.stdout.split())
        slope = grown / (0.9 * options.images / 1000)
        too_much += slope > options.bound
        print(f"{name:12} {slope:7.3f} {seconds:7.1f} {peak:7.0f}", flush=True)
    return int(too_much > 0)


if __name__ == "__main__":
    sys.exit(main())
