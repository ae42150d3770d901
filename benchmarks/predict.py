"""Throughput of prediction relative to the network's forward pass alone.

    python benchmarks/predict.py --photos ../shared/data/cub10/images

Times ``wsol predict`` with its defaults, and other settings, on a folder of photographs (from
creating the network to the last written file, without the start of Python), alternating with the
network alone on as many images of the same size in memory, in the same precision, and prints the
ratio of images per second. Nothing else should run.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import torch

from wsol.data.images import find_images
from wsol.inference.device import choose_compute
from wsol.models import create_network
from wsol.models.create import NUM_CLASSES
from wsol.prediction.config import PredictConfig
from wsol.prediction.predict import predict

BATCH = 16

SETTINGS = {"default": (448, None), "fast": (224, None), "cam": (448, "cam")}
"""Setting name to size and localizer."""


def bare(size: int, count: int) -> float:
    """Return images per second of the network alone."""
    network = create_network(num_classes=NUM_CLASSES, output_stride=None, size=size).eval()
    network.to(memory_format=torch.channels_last)
    images = torch.randn(BATCH, 3, size, size).to(memory_format=torch.channels_last)
    with torch.inference_mode(), choose_compute("auto", device="cpu").autocast():
        network(images)
        begin = time.perf_counter()
        for start in range(0, count, BATCH):
            network(images[: min(BATCH, count - start)])
        return count / (time.perf_counter() - begin)


def whole(size: int, localizer: str | None, photos: list[Path], out: Path) -> float:
    """Return images per second from files to files."""
    begin = time.perf_counter()
    predict(
        PredictConfig(images=photos, out=out, image_size=size, localizer=localizer, device="cpu")
    )
    return len(photos) / (time.perf_counter() - begin)


def main() -> None:
    """Print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True, help="folder")
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--settings", nargs="+", default=list(SETTINGS), choices=list(SETTINGS))
    options = parser.parse_args()
    photos = [options.photos / name for name in find_images(options.photos)][: options.count]
    print("| setting | size | bare images/s | predict images/s | ratio |\n|---|---|---|---|---|")
    for title in options.settings:
        size, localizer = SETTINGS[title]
        pairs = []
        for _ in range(options.rounds):
            with tempfile.TemporaryDirectory() as folder:
                alone = bare(size, len(photos))
                pairs.append((alone, whole(size, localizer, photos, Path(folder))))
        ratios = sorted(found / alone for alone, found in pairs)
        alone, found = (statistics.median(pair[i] for pair in pairs) for i in (0, 1))
        print(
            f"| {title} | {size} | {alone:.1f} | {found:.1f} | "
            f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}) |",
            flush=True,
        )


if __name__ == "__main__":
    main()
