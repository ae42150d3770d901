"""Overhead of scoring compared with the forward pass of ``wsol evaluate RUN``.

    python benchmarks/evaluate_share.py RUN --data DATA

Evaluates the test split several times, alternately with ground-truth boxes and without them (the
forward pass only), and prints the median of each and their ratio.
"""

import argparse
import statistics
import time
from dataclasses import replace
from pathlib import Path

from wsol.data.open import open_data
from wsol.evaluation.evaluate import evaluate_split
from wsol.evaluation.protocols import WSOLEval
from wsol.inference.device import choose_compute
from wsol.localizers import create_localizer
from wsol.runs.run import load_run


def main() -> None:
    """Time both alternately."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="run folder")
    parser.add_argument("--data", type=Path, required=True, help="data set with boxes")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--num_workers", type=int, default=2)
    options = parser.parse_args()
    network, info = load_run(options.run)
    compute = choose_compute("fp32", device="cpu")
    localizer = create_localizer(info.localizer, network)
    boxed = open_data(options.data)["test"]
    times: dict[str, list[float]] = {"with boxes": [], "forward only": []}
    for repeat in range(options.repeats + 1):
        for name, samples in (("with boxes", boxed), ("forward only", replace(boxed, boxes=None))):
            start = time.perf_counter()
            evaluate_split(
                samples,
                network,
                localizer,
                compute,
                protocols=[WSOLEval(info.image_size)],
                batch_size=32,
                num_workers=options.num_workers,
            )
            # The first repetition is a warm-up: compiled code, cached files.
            if repeat > 0:
                times[name].append(time.perf_counter() - start)
    middle = {name: statistics.median(values) for name, values in times.items()}
    for name, seconds in middle.items():
        spread = f"{min(times[name]):.2f} to {max(times[name]):.2f}"
        print(f"{name:12} {seconds:6.2f} s ({spread}), {len(boxed) / seconds:.1f} images/s")
    ratio = middle["with boxes"] / middle["forward only"]
    print(f"scoring adds {100 * (ratio - 1):.1f} %")


if __name__ == "__main__":
    main()
