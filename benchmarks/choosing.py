"""What a choice without ground truth costs, on several data sets.

    python benchmarks/choosing.py ../shared/data/cub10 ../shared/data/cats ...

Each data set is a folder with test images and ground-truth boxes, as for ``photographs.py``. Every
other test image is val, on which localizer, affinity, size, normalization and threshold are chosen
by pseudo-boxes and by ground truth; both choices are measured on the other images. One row for
each data set and list of candidates: with the localizer that pseudo-boxes come from, which agrees
with them by construction, and without it. ``--most`` takes fewer images, spread evenly.
"""

import argparse
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

from photographs import open_boxes
from wsol.data.samples import Samples
from wsol.engine.compare import Row, compare_splits
from wsol.engine.compare_config import CompareConfig
from wsol.localizers.reading import BEST
from wsol.models.create import create_imagenet_network

LOCALIZERS = (
    *(BEST.localizer, "cam", "feature_norm", "ddt"),
    *("cam*ddt", "feature_norm*ddt", "cam*feature_norm"),
)


def halves(splits: dict[str, Samples], most: int) -> dict[str, Samples]:
    """Return the splits with every other test image in val."""
    test = splits["test"]
    count = min(most, len(test))
    chosen = [index * len(test) // count for index in range(count)]
    return splits | {"val": test.select(chosen[1::2]), "test": test.select(chosen[::2])}


def described(row: Row, threshold: float | None) -> str:
    """Return a candidate in words."""
    affinity = "" if row.affinity == "none" else ", affinity"
    return f"{row.localizer}{affinity}, {row.size}, {row.normalization} {threshold:.2f}"


def line(name: str, rows: Iterable[Row]) -> str:
    """Return a row of the table: both choices and the difference."""
    candidates = list(rows)
    chosen = max(candidates, key=lambda row: row.val_agreement or 0.0)
    by_truth = max(candidates, key=lambda row: row.val_max_box_acc_v2 or 0.0)
    found, best = chosen.box_acc_50 or 0.0, by_truth.gt_box_acc_50 or 0.0
    cells = (
        *(name, described(chosen, chosen.threshold), f"{found:.1f}"),
        *(described(by_truth, by_truth.gt_threshold), f"{best:.1f}", f"{best - found:.1f}"),
    )
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--sizes", type=int, nargs="+", default=[224, 448])
    parser.add_argument("--most", type=int, default=10**6, help="test images of a set at most")
    parser.add_argument("--cpu", action="store_true")
    arguments = parser.parse_args()
    print("| set | without ground truth | GT-known | with ground truth | GT-known | loss |")
    print("|---|---|---|---|---|---|", flush=True)
    for folder in arguments.folders:
        splits = halves(open_boxes(folder), arguments.most)
        with TemporaryDirectory() as out:
            config = CompareConfig(
                data=folder,
                out=Path(out),
                localizers=LOCALIZERS,
                sizes=tuple(arguments.sizes),
                normalizations=("minmax", "otsu"),
                pictures=0,
                select_by="pseudo_boxes",
                cpu=arguments.cpu,
            )
            rows = compare_splits(config, create_imagenet_network(config.backbone), splits)
        others = [row for row in rows if row.localizer != BEST.localizer]
        print(line(folder.name, rows))
        print(line(f"{folder.name}, without {BEST.localizer}", others), flush=True)


if __name__ == "__main__":
    main()
