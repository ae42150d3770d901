"""How good and how fast the boxes of an untrained ImageNet network are, on several data sets.

    python benchmarks/photographs.py ../shared/data/cub10 ../shared/data/cats ...
    python benchmarks/photographs.py --scenes DIR

Each data set is a folder with test images and ground-truth boxes, in CUB's layout or with a
``boxes.csv`` or ``test_boxes.csv``. One table for each, a row for each localizer: MaxBoxAccV2;
MaxBoxAcc at IoU 50 and 70; GT-known at the localizer's own threshold and at the threshold that is
best on these images; the gap between the two; images per second from file to score map. No
threshold is chosen on the images of the table, but the default was found on the birds of cub10. A
localizer that is fitted to a collection sees 16 of the train images, or of the test images where
there are no others. ``--scenes`` writes drawn scenes of one object to a folder and measures on them
too. No other work may run beside it.
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from wsol.data.batches import split_batches
from wsol.data.decode import image_size
from wsol.data.open import open_data
from wsol.data.samples import Samples
from wsol.data.scenes import write_scenes
from wsol.engine.config import Precision
from wsol.engine.device import Compute, choose_compute
from wsol.engine.evaluate import Located, judge_located, locate_split
from wsol.engine.fit import Look, fit_localizer
from wsol.engine.opened import prepare_to_localize
from wsol.engine.protocol import Fair
from wsol.in_order import in_order
from wsol.localizers.reading import BEST, Reading
from wsol.maps.curves import num_processors
from wsol.metrics import LocalizationAccuracy
from wsol.models import create_network
from wsol.models.imagenet import NUM_CLASSES

HEADINGS = (
    *("localizer", "size", "MaxBoxAccV2", "MaxBoxAcc 50", "MaxBoxAcc 70", "GT-known"),
    *("at the best threshold", "gap", "images/s"),
)

CENTER_SIDE = 0.7
"""Side of the centre box, as a share of the image's."""


@dataclass(frozen=True)
class Setting:
    """How score maps are made: a localizer with its options, and the size of the input."""

    title: str
    reading: Reading
    size: int = 448


SETTINGS = (
    Setting("CAM", Reading("cam"), 224),
    Setting("CAM", Reading("cam")),
    Setting("CAM, affinity", Reading("cam", affinity="auto")),
    Setting("feature norm", Reading("feature_norm")),
    Setting("feature norm, affinity", Reading("feature_norm", affinity="auto")),
    Setting("CAM * feature norm, affinity", Reading("cam*feature_norm", affinity="auto"), 224),
    Setting("CAM * feature norm, affinity", Reading("cam*feature_norm", affinity="auto")),
    Setting("DDT", Reading("ddt")),
    Setting("normalized cut, affinity", Reading("ncut", affinity="auto")),
    Setting("fast", BEST, 224),
    Setting("default", BEST),
    Setting("default", BEST, 576),
)


def open_boxes(folder: Path) -> dict[str, Samples]:
    """Return the splits of a data set, with its boxes."""
    boxes = folder / "test_boxes.csv"
    return open_data(folder, boxes=boxes if boxes.is_file() else None)


def count(test: Samples, protocol: Fair, located: list[Located]) -> LocalizationAccuracy:
    """Return the figures of the score maps of a split."""
    metric = LocalizationAccuracy(protocol.thresholds)
    for rank, curves in in_order(partial(judge_located, test, protocol), located, num_processors()):
        metric.update(rank, curves)
    return metric


def center_boxes(test: Samples) -> LocalizationAccuracy:
    """Return the figures of one box in the centre of each image."""
    side = 224
    margin = round(side * (1 - CENTER_SIDE) / 2)
    score_map = np.zeros((side, side), np.float32)
    score_map[margin : side - margin, margin : side - margin] = 1
    located = [
        Located(index, image_size(path), None, score_map) for index, path in enumerate(test.paths())
    ]
    return count(test, Fair(side), located)


def measure(
    setting: Setting, splits: dict[str, Samples], compute: Compute, batch_size: int
) -> tuple[LocalizationAccuracy, float]:
    """Return the figures of one localizer on the test split, and images per second."""
    network = create_network(num_classes=NUM_CLASSES, output_stride=None)
    prepare_to_localize(network, setting.size)
    protocol = Fair(setting.size, setting.reading.normalization)
    localizer = setting.reading.create(network.to(compute.device))
    test = splits["test"]
    look = Look(protocol.transform, network.mean, network.std, compute, batch_size)
    fit_localizer(localizer, splits.get("train", test).paths(), look)
    batches = split_batches(range(len(test)), batch_size)
    located = locate_split(
        test, network, localizer, compute, protocol.transform, batches, 2, knows_classes=False
    )
    begin = time.perf_counter()
    found = list(located)
    speed = len(test) / (time.perf_counter() - begin)
    return count(test, protocol, found), speed


def row(title: str, size: str, metric: LocalizationAccuracy, threshold: float, speed: str) -> str:
    """Return a row of the table."""
    best = metric.best_threshold()
    own, other = metric.at(threshold), metric.at(threshold if best is None else best)
    known, most = float(own["gt_known"] or 0), float(other["gt_known"] or 0)
    figures = [float(own[name] or 0) for name in ("max_box_acc_v2", "max_box_acc_50")]
    figures += [float(own["max_box_acc_70"] or 0), known, most]
    cells = [title, size, *(f"{value:.1f}" for value in figures)]
    return f"| {' | '.join(cells)} ({other['threshold']:.2f}) | {most - known:.1f} | {speed} |"


def rows(folder: Path, batch_size: int, precision: Precision) -> Iterator[str]:
    """Yield the table of a data set line by line."""
    splits = open_boxes(folder)
    compute = choose_compute(precision, cpu=False)
    yield f"**{folder.name}**, {len(splits['test'])} images, {compute.precision}\n"
    yield f"| {' | '.join(HEADINGS)} |\n|{'---|' * len(HEADINGS)}"
    yield row("centre box", "", center_boxes(splits["test"]), 0.5, "")
    for setting in SETTINGS:
        metric, speed = measure(setting, splits, compute, batch_size)
        own = setting.reading.threshold
        yield row(setting.title, str(setting.size), metric, own, f"{speed:.1f}")
    yield ""


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="*", help="data sets with boxes")
    parser.add_argument("--scenes", type=Path, help="folder for drawn scenes")
    parser.add_argument("--batch_size", type=int, default=16)
    parser.add_argument("--precision", choices=("auto", "fp32", "bf16", "fp16"), default="auto")
    options = parser.parse_args()
    folders = list(options.folders)
    if options.scenes is not None:
        if not options.scenes.exists():
            write_scenes(options.scenes, train=150, test=300, seed=0)
        folders.append(options.scenes)
    for folder in folders:
        for line in rows(folder, options.batch_size, options.precision):
            print(line, flush=True)


if __name__ == "__main__":
    main()
