"""Training on real birds: ``wsol train`` with default options, for each method and seed.

    python benchmarks/cub10.py --data ../shared/data/cub10 --out /tmp/cub10

Prints the time of each training command, its metrics on the test split, and the means.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

METRICS = ("top1_cls", "max_box_acc_v2", "gt_known", "top1_loc")


def main() -> None:
    """Run the commands and print a row for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder in CUB-200-2011's layout")
    parser.add_argument("--out", type=Path, required=True, help="folder for the runs")
    parser.add_argument("--methods", nargs="+", default=["none", "adl"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    options = parser.parse_args()
    wsol = [sys.executable, "-m", "wsol"]
    for method in options.methods:
        rows = []
        for seed in options.seeds:
            run = options.out / f"{method}-{seed}"
            start = time.monotonic()
            train = [*wsol, "train", str(options.data), "--method", method, "--out", str(run)]
            subprocess.run([*train, "--seed", str(seed)], check=True)
            seconds = time.monotonic() - start
            subprocess.run([*wsol, "evaluate", str(run)], check=True, stdout=subprocess.DEVNULL)
            rows.append(json.loads((run / "metrics.json").read_text()))
            figures = ", ".join(f"{name} {rows[-1][name]:.2f}" for name in METRICS)
            print(f"{method} seed {seed}: trained in {seconds:.0f} s, {figures}", flush=True)
        means = {name: statistics.mean(row[name] for row in rows) for name in METRICS}
        print(f"{method} mean: " + ", ".join(f"{name} {means[name]:.2f}" for name in METRICS))


if __name__ == "__main__":
    main()
