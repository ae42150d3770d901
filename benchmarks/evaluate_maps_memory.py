"""Peak memory of `wsol evaluate --maps` over many maps, one of which is damaged.

    python benchmarks/evaluate_maps_memory.py [20000 [224]]

Writes maps of 224 by 224 pixels, or another side, to a temporary folder and evaluates them; the
file in the middle is truncated. Prints the peak resident memory at several counts, and the row of
the damaged map.
"""

import csv
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from wsol.evaluation import score_maps as room
from wsol.evaluation.config import EvaluateMapsConfig
from wsol.evaluation.score_map_metrics import BoxEvaluator

SHOWN_EVERY = 2000


def write_maps(root: Path, count: int, side: int) -> EvaluateMapsConfig:
    """Write maps and boxes, and return the evaluation options."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:side, :side] * 28 / side
    (root / "maps").mkdir()
    with (root / "boxes.csv").open("w") as boxes:
        boxes.write("image,class,x0,y0,x1,y1,width,height\n")
        for i in range(count):
            x0, y0 = rng.integers(0, 12, 2)
            x1, y1 = rng.integers(14, 27, 2)
            far = ((x - (x0 + x1) / 2) / (x1 - x0)) ** 2 + ((y - (y0 + y1) / 2) / (y1 - y0)) ** 2
            score_map = np.exp(-3 * far) + np.kron(
                rng.normal(0, 0.05, (4, 4)), np.ones((side // 4, side // 4))
            )
            np.save(root / f"maps/{i:06}.npy", score_map.astype(np.float16))
            box = ",".join(str(8 * value) for value in (x0, y0, x1, y1))
            boxes.write(f"{i:06}.jpg,{i % 200},{box},{8 * 28},{8 * 28}\n")
    broken = root / f"maps/{count // 2:06}.npy"
    broken.write_bytes(broken.read_bytes()[:-100])
    return EvaluateMapsConfig(maps=root / "maps", annotations=root / "boxes.csv")


def peak() -> float:
    """Return the peak resident memory in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


class Watching(BoxEvaluator):
    """Evaluator that prints the peak memory every few thousand maps."""

    def count(self, index: int, scored: Any) -> None:
        """Add a map to the metrics."""
        super().count(index, scored)
        if (index + 1) % SHOWN_EVERY == 0 or index + 1 == 100:
            sys.stdout.write(f"{index + 1:>7,} maps: peak {peak():.1f} MB\n")


def error_rows(path: Path) -> Iterator[dict[str, str]]:
    """Yield the rows with errors."""
    with path.open(newline="") as file:
        yield from (row for row in csv.DictReader(file) if row["status"] != "ok")


def main() -> None:
    """Evaluate, and print."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    side = int(sys.argv[2]) if len(sys.argv) > 2 else 224
    vars(room)["BoxEvaluator"] = Watching
    with tempfile.TemporaryDirectory() as folder:
        config = write_maps(Path(folder), count, side)
        sys.stdout.write(f"{count:,} maps written: peak {peak():.1f} MB\n")
        start = time.perf_counter()
        result = room.evaluate_maps(config)
        seconds = time.perf_counter() - start
        sys.stdout.write(f"{count / seconds:.0f} maps per second; {dict(result.statuses)}\n")
        sys.stdout.write(f"MaxBoxAccV2 {result.metrics['max_box_acc_v2']:.2f}\n")
        for row in error_rows(result.out / "images.csv"):
            sys.stdout.write(f"{row}\n")


if __name__ == "__main__":
    main()
