"""Quality and speed of the boxes of an ImageNet network without training, on multiple data sets.

    python benchmarks/photographs.py ../shared/data/cub10 ../shared/data/cats ...
    python benchmarks/photographs.py --scenes DIR

Each data set is a folder with test images and ground-truth boxes, in CUB's layout or with a
``boxes.csv`` or ``test_boxes.csv``. Prints one table per data set, with a row for each localizer:
MaxBoxAccV2; MaxBoxAcc at IoU 50 and 70; GT-known with a threshold per map (``auto``) and at the
fixed threshold that is best on these images; the gap between the two; images per second from file
to score map. No threshold is chosen on the images of the table, but the default was selected on the
four sets cub10, cats, animals and objects64, and on drawn scenes, together. A localizer that needs
fitting is fitted to 32 train images, or to test images if there are no others. ``--only`` selects
rows. ``--scenes`` writes drawn scenes of one object to a folder and evaluates them too. No other
work should run at the same time.

``--scores`` prints another table, of the default: the fraction of correct boxes (IoU 50) and the
mean IoU of the images in each fifth by box score, per data set and over all images.
"""

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wsol._utils.concurrency import in_order
from wsol.data.images import read_image_size
from wsol.data.loader import split_batches
from wsol.data.open import open_data
from wsol.data.samples import Samples
from wsol.data.synthetic.scenes import write_scenes
from wsol.evaluation.evaluate import Located, at_own_thresholds, locate_split, score_located
from wsol.evaluation.protocols import WSOLEval
from wsol.inference.device import Compute, choose_compute
from wsol.inference.fitting import Preprocessing, fit_localizer
from wsol.inference.loading import prepare_to_localize
from wsol.localizers.config import BEST, LocalizerConfig
from wsol.maps import box_confidence, normalize
from wsol.maps.curves import num_processors
from wsol.metrics import LocalizationAccuracy
from wsol.models import create_network
from wsol.models.create import NUM_CLASSES
from wsol.types import Precision

HEADINGS = (
    *("localizer", "size", "MaxBoxAccV2", "MaxBoxAcc 50", "MaxBoxAcc 70", "GT-known"),
    *("at the best threshold", "gap", "images/s"),
)

FIFTHS = 5

CENTER_SIDE = 0.7
"""Side of the center box, relative to the image's."""


@dataclass(frozen=True)
class Setting:
    """Localizer options, and the size of the input."""

    title: str
    localizer_config: LocalizerConfig
    size: int = 448


SETTINGS = (
    Setting("CAM", LocalizerConfig("cam"), 224),
    Setting("CAM", LocalizerConfig("cam")),
    Setting("CAM, affinity", LocalizerConfig("cam", affinity="auto")),
    Setting("feature norm", LocalizerConfig("feature_norm")),
    Setting("feature norm, affinity", LocalizerConfig("feature_norm", affinity="auto")),
    Setting(
        "CAM * feature norm, affinity", LocalizerConfig("cam*feature_norm", affinity="auto"), 224
    ),
    Setting("CAM * feature norm, affinity", LocalizerConfig("cam*feature_norm", affinity="auto")),
    Setting("DDT", LocalizerConfig("ddt")),
    Setting("normalized cut, affinity", LocalizerConfig("ncut", affinity="auto")),
    Setting("feature norm * DDT, affinity", LocalizerConfig("feature_norm*ddt", affinity="auto")),
    Setting("fast", BEST, 224),
    Setting("default", BEST),
    Setting("default", BEST, 576),
)


def open_boxes(folder: Path) -> dict[str, Samples]:
    """Return the splits of a data set, with its boxes."""
    boxes = folder / "test_boxes.csv"
    return open_data(folder, boxes=boxes if boxes.is_file() else None)


def count(
    test: Samples, protocols: Sequence[WSOLEval], located: list[Located]
) -> list[LocalizationAccuracy]:
    """Return the counts of the score maps of a split by each protocol."""
    metrics = [LocalizationAccuracy(protocol.thresholds) for protocol in protocols]
    score = partial(score_located, test, protocols)
    for scored in in_order(score, located, num_processors()):
        for metric, (rank, curves) in zip(metrics, scored, strict=True):
            metric.update(rank, curves)
    return metrics


def center_boxes(test: Samples) -> LocalizationAccuracy:
    """Return the counts of one box at the center of each image."""
    side = 224
    margin = round(side * (1 - CENTER_SIDE) / 2)
    score_map = np.zeros((side, side), np.float32)
    score_map[margin : side - margin, margin : side - margin] = 1
    located = [
        Located(index, read_image_size(path), None, score_map)
        for index, path in enumerate(test.paths())
    ]
    (metric,) = count(test, [WSOLEval(side)], located)
    return metric


def locate(
    setting: Setting, splits: dict[str, Samples], compute: Compute, batch_size: int
) -> tuple[list[Located], float]:
    """Return the score maps of the test split, and images per second."""
    network = create_network(num_classes=NUM_CLASSES, output_stride=None)
    prepare_to_localize(network, setting.size)
    protocol = WSOLEval(setting.size)
    localizer = setting.localizer_config.create(network.to(compute.device))
    test = splits["test"]
    preprocessing = Preprocessing(
        protocol.transform, network.mean, network.std, compute, batch_size
    )
    fit_localizer(localizer, splits.get("train", test).paths(), preprocessing)
    batches = split_batches(range(len(test)), batch_size)
    located = locate_split(
        test, network, localizer, compute, protocol.transform, batches, 2, knows_classes=False
    )
    begin = time.perf_counter()
    found = list(located)
    return found, len(test) / (time.perf_counter() - begin)


def measure(
    setting: Setting, splits: dict[str, Samples], compute: Compute, batch_size: int
) -> tuple[LocalizationAccuracy, LocalizationAccuracy, float]:
    """Return the counts of one localizer on the test split, and images per second.

    The first are for all fixed thresholds, the second for a threshold per map.
    """
    found, speed = locate(setting, splits, compute, batch_size)
    protocols = [WSOLEval(setting.size), at_own_thresholds(setting.localizer_config, setting.size)]
    fixed, auto = count(splits["test"], protocols, found)
    return fixed, auto, speed


def scores_and_ious(
    setting: Setting, splits: dict[str, Samples], compute: Compute, batch_size: int
) -> NDArray[np.float64]:
    """Return the score and the IoU of the box of each test image, ``(N, 2)``."""
    test = splits["test"]
    found, _ = locate(setting, splits, compute, batch_size)
    protocol = at_own_thresholds(setting.localizer_config, setting.size)
    (threshold,) = protocol.thresholds

    def score(image: Located) -> tuple[float, float]:
        boxes = test.own_boxes(image.image)
        if image.score_map is None or len(boxes) == 0:
            return np.nan, np.nan
        scaled, _ = normalize(image.score_map, protocol.normalization)
        curves = protocol.score(image.score_map, boxes, image.original_size)
        return box_confidence(scaled, threshold), curves.largest[0]

    pairs = np.array(list(in_order(score, iter(found), num_processors())))
    return pairs[~np.isnan(pairs[:, 0])]


def fifths(title: str, pairs: NDArray[np.float64]) -> str:
    """Return a row of the table of scores."""
    ranked = pairs[np.argsort(pairs[:, 0], kind="stable")]
    cells = [
        f"{100 * (part[:, 1] >= 0.5).mean():.1f} ({part[:, 1].mean():.2f})"
        for part in (*np.array_split(ranked, FIFTHS), ranked)
    ]
    return f"| {title} | {len(pairs)} | {' | '.join(cells)} |"


def score_rows(folders: Sequence[Path], batch_size: int, precision: Precision) -> Iterator[str]:
    """Yield the table of scores line by line."""
    names = ("lowest fifth", *(f"{number}." for number in range(2, FIFTHS)), "highest fifth")
    headings = ("data set", "images", *names, "all")
    yield f"| {' | '.join(headings)} |\n|{'---|' * len(headings)}"
    compute = choose_compute(precision, device="auto")
    found = []
    for folder in folders:
        found.append(scores_and_ious(Setting("", BEST), open_boxes(folder), compute, batch_size))
        yield fifths(folder.name, found[-1])
    yield fifths("all", np.concatenate(found))


def row(
    title: str, size: str, fixed: LocalizationAccuracy, own: LocalizationAccuracy, speed: str
) -> str:
    """Return a row of the table."""
    other = fixed.compute()
    known, most = float(own.compute()["gt_known"] or 0), float(other["gt_known"] or 0)
    names = ("max_box_acc_v2", "max_box_acc_50", "max_box_acc_70")
    figures = [*(float(other[name] or 0) for name in names), known, most]
    cells = [title, size, *(f"{value:.1f}" for value in figures)]
    return f"| {' | '.join(cells)} ({other['threshold']:.2f}) | {most - known:.1f} | {speed} |"


def rows(
    folder: Path, batch_size: int, precision: Precision, only: Sequence[str] = ()
) -> Iterator[str]:
    """Yield the table of a data set line by line, with the selected rows or all."""
    splits = open_boxes(folder)
    compute = choose_compute(precision, device="auto")
    yield f"**{folder.name}**, {len(splits['test'])} images, {compute.precision}\n"
    yield f"| {' | '.join(HEADINGS)} |\n|{'---|' * len(HEADINGS)}"
    center = center_boxes(splits["test"])
    yield row("centre box", "", center, center, "")
    for setting in SETTINGS:
        if only and setting.title not in only:
            continue
        fixed, own, speed = measure(setting, splits, compute, batch_size)
        yield row(setting.title, str(setting.size), fixed, own, f"{speed:.1f}")
    yield ""


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="*", help="data sets with boxes")
    parser.add_argument("--scenes", type=Path, help="folder for drawn scenes")
    parser.add_argument("--scores", action="store_true", help="print only the table of box scores")
    parser.add_argument("--only", nargs="*", default=[], help="titles of the rows to measure")
    parser.add_argument("--batch_size", type=int, default=16)
    parser.add_argument("--precision", choices=("auto", "fp32", "bf16", "fp16"), default="auto")
    options = parser.parse_args()
    folders = list(options.folders)
    if options.scenes is not None:
        if not options.scenes.exists():
            write_scenes(options.scenes, train=150, test=300, seed=0)
        folders.append(options.scenes)
    settings = (options.batch_size, options.precision)
    tables = (
        [score_rows(folders, *settings)]
        if options.scores
        else [rows(folder, *settings, options.only) for folder in folders]
    )
    for table in tables:
        for line in table:
            print(line, flush=True)


if __name__ == "__main__":
    main()
