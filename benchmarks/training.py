"""Images per second of training, compared with a plain loop.

    python benchmarks/training.py
    python benchmarks/training.py --images ../shared/data/cub10/images --backbone resnet18

wsol is ``wsol train`` with default options: channels-last layers, bfloat16 if the processor
supports it, images as bytes. The plain loop is typical user code: float32, contiguous, Pillow,
ToTensor and Normalize, with the same network, optimizer, sizes and number of workers. All layers
are trained, from random weights, which does not affect the cost. Reading of images and the start
of the workers are included. The loops alternate; the ratio is the median over the rounds. Nothing
else should run.
"""

import argparse
import json
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import timm
import torch
from torch.nn.functional import cross_entropy
from torch.optim import SGD

from loading import plain
from wsol.data.images import find_images
from wsol.data.synthetic.scenes import write_photographs
from wsol.inference.device import choose_precision
from wsol.training.config import TrainConfig
from wsol.training.trainer import train

BATCH, STRIDE, CLASSES = 16, 16, 2


def make_data(folder: Path, images: Path | None, count: int) -> list[Path]:
    """Write or copy images of two classes, and return them."""
    if images is None:
        files = write_photographs(folder / "some", min(count, 200))
    else:
        files = [images / name for name in find_images(images)]
    paths = []
    for number in range(count):
        path = folder / "data" / "train" / "ab"[number % 2] / f"{number:05d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(files[number % len(files)], path)
        paths.append(path)
    return paths


def plain_speed(paths: list[Path], options: argparse.Namespace, seed: int) -> float:
    """Return images per second of the plain loop."""
    model = timm.create_model(options.backbone, num_classes=CLASSES, output_stride=STRIDE)
    model.train()
    optimizer = SGD(model.parameters(), lr=0.001, momentum=0.9, nesterov=True, weight_decay=1e-4)
    labels = torch.arange(BATCH) % CLASSES
    begin, count = time.perf_counter(), 0
    for images in plain(paths, options.num_workers, seed):
        loss = cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        count += len(images)
        loss.item()
    return count / (time.perf_counter() - begin)


def our_speed(paths: list[Path], options: argparse.Namespace, seed: int) -> float:
    """Return images per second of ``wsol train``."""
    with tempfile.TemporaryDirectory() as folder:
        config = TrainConfig(
            data=paths[0].parents[2],
            out=Path(folder) / "run",
            backbone=options.backbone,
            pretrained=False,
            output_stride=STRIDE,
            epochs=1,
            lr=0.001,
            batch_size=BATCH,
            num_workers=options.num_workers,
            val_fraction=0,
            seed=seed,
            save_every=10**9,
            device="cpu",
        )
        row = json.loads((train(config) / "metrics.jsonl").read_text().splitlines()[-1])
    return float(row["images_per_second"])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=Path, help="folder; default: generated images")
    parser.add_argument("--backbone", default="resnet50", help="timm name")
    parser.add_argument("--steps", type=int, default=40, help="steps per round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--num_workers", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        paths = make_data(Path(folder), options.images, options.steps * BATCH)
        speeds: list[Callable[[list[Path], argparse.Namespace, int], float]]
        speeds = [plain_speed, our_speed]
        pairs = []
        for seed in range(options.rounds):
            order = (0, 1) if seed % 2 else (1, 0)
            found = {index: speeds[index](paths, options, seed) for index in order}
            pairs.append((found[0], found[1]))
    ratios = sorted(found / base for base, found in pairs)
    base, found = (statistics.median(pair[i] for pair in pairs) for i in (0, 1))
    precision = choose_precision("auto", device="cpu")
    print(f"{os.cpu_count()} cores, ours in {precision}, {options.num_workers} workers\n")
    print("| network | plain loop images/s | wsol images/s | ratio |\n|---|---|---|---|")
    print(
        f"| {options.backbone} | {base:.2f} | {found:.2f} | "
        f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}) |"
    )


if __name__ == "__main__":
    main()
