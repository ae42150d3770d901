"""How good the boxes of an untrained ImageNet network are, and how quickly they come.

    python benchmarks/boxes.py --birds ../shared/data/cub10 --out /tmp/boxes

Two data sets: real birds of ten kinds, and toy scenes of one object of six kinds, of all sizes and
anywhere. For each way to read the network, at its own threshold, with nothing chosen on these
pictures: MaxBoxAccV2, GT-known, and images per second from file to map, with no other work going
on. A localizer that wants to see pictures first is shown 16 of the training split.
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from wsol.data.batches import split_batches
from wsol.data.open import open_data
from wsol.data.samples import Samples
from wsol.data.scenes import write_scenes
from wsol.engine.config import Precision
from wsol.engine.device import choose_compute
from wsol.engine.evaluate import judge_located, locate_split
from wsol.engine.fit import Look, fit_localizer
from wsol.engine.opened import prepare_to_localize
from wsol.engine.protocol import Fair
from wsol.in_order import in_order
from wsol.localizers.reading import BEST, Reading
from wsol.maps.curves import num_processors
from wsol.metrics import LocalizationAccuracy
from wsol.models import create_network
from wsol.models.imagenet import NUM_CLASSES


@dataclass(frozen=True)
class Way:
    """One way to read the network."""

    title: str
    reading: Reading
    size: int = 224
    output_stride: int | None = None


WAYS = (
    Way("plain CAM", Reading("cam")),
    Way("plain CAM", Reading("cam"), 448),
    Way("feature norm", Reading("feature_norm")),
    Way("feature norm", Reading("feature_norm"), 448),
    Way("DDT", Reading("ddt"), 448),
    Way("feature norm * DDT", Reading("feature_norm*ddt"), 448),
    Way("CAM with affinity", Reading("cam", affinity="auto"), 448),
    Way("best", BEST, 160),
    Way("best (fast)", BEST, 224),
    Way("best", BEST, 320),
    Way("best (default)", BEST, 448),
    Way("best", BEST, 576),
    Way("best, flip", Reading(BEST.localizer, affinity="auto", flip=True), 448),
)


def measure(
    way: Way, splits: dict[str, Samples], batch_size: int, precision: Precision
) -> tuple[float, float, float]:
    """Return MaxBoxAccV2, GT-known and images per second on the test split."""
    compute = choose_compute(precision, cpu=False)
    network = create_network(num_classes=NUM_CLASSES, output_stride=way.output_stride)
    prepare_to_localize(network, way.size)
    protocol = Fair(way.size, way.reading.normalization)
    localizer = way.reading.create(network.to(compute.device))
    look = Look(protocol.transform, network.mean, network.std, compute, batch_size)
    fit_localizer(localizer, splits["train"].paths(), look)
    test = splits["test"]
    metric = LocalizationAccuracy(protocol.thresholds)
    located = locate_split(
        test,
        network,
        localizer,
        compute,
        protocol.transform,
        split_batches(range(len(test)), batch_size),
        workers=2,
        knows_classes=False,
    )
    begin = time.perf_counter()
    found = list(located)
    speed = len(test) / (time.perf_counter() - begin)
    for rank, curves in in_order(partial(judge_located, test, protocol), found, num_processors()):
        metric.update(rank, curves)
    figures = metric.at(way.reading.threshold)
    return float(figures["max_box_acc_v2"] or 0), float(figures["gt_known"] or 0), speed


def rows(
    data: dict[str, dict[str, Samples]], batch_size: int, precision: Precision
) -> Iterator[str]:
    """Yield the table line by line."""
    yield (
        "| way | size | "
        + " | ".join(f"{name}: MaxBoxAccV2 | {name}: GT-known" for name in data)
        + " | images/s |"
    )
    yield "|" + "---|" * (3 + 2 * len(data))
    for way in WAYS:
        cells, speeds = [way.title, str(way.size)], []
        for splits in data.values():
            accuracy, known, speed = measure(way, splits, batch_size, precision)
            cells += [f"{accuracy:.1f}", f"{known:.1f}"]
            speeds.append(speed)
        yield f"| {' | '.join(cells)} | {min(speeds):.1f} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--birds", type=Path, required=True, help="folder in CUB's layout")
    parser.add_argument("--out", type=Path, required=True, help="folder for the toy scenes")
    parser.add_argument("--batch_size", type=int, default=16)
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    options = parser.parse_args()
    scenes = options.out / "scenes"
    if not scenes.exists():
        write_scenes(scenes, train=150, test=300, seed=0)
    data = {"birds": open_data(options.birds), "scenes": open_data(scenes)}
    for line in rows(data, options.batch_size, options.precision):
        print(line, flush=True)


if __name__ == "__main__":
    main()
