"""All training methods on the same birds, with default options and the same network.

    python benchmarks/methods_cub10.py --data ../shared/data/cub10 --out /tmp/methods \
        --image /tmp/methods.jpg

Trains and evaluates each method once per seed, and prints each run and then, as a table, the means
and standard deviations over seeds on the test split. The image shows the heat maps of the methods'
first runs for the same birds, with predicted boxes (orange) and ground truth (green). If started
again with the same options, it resumes.
"""

import argparse
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from wsol.data.images import load_image
from wsol.data.open import open_data
from wsol.evaluation.config import EvaluateConfig
from wsol.evaluation.evaluate import evaluate
from wsol.inference.localizer import Localizer
from wsol.methods import list_methods, method_config
from wsol.training.config import TrainConfig
from wsol.training.trainer import train
from wsol.visualization.plots import draw, grid

METRICS = {
    "top1_cls": "top-1",
    "max_box_acc_v2": "MaxBoxAccV2",
    "gt_known": "GT-known",
    "top1_loc": "top-1 Loc",
}

Row = dict[str, float]


def run_all(base: TrainConfig, methods: Sequence[str], seeds: Sequence[int]) -> dict[str, Path]:
    """Train and evaluate all runs, print them and their table; return each method's first run."""
    rows: dict[str, list[Row]] = {name: [] for name in methods}
    first: dict[str, Path] = {}
    for seed in seeds:  # In the outer loop, so that partial results have all methods.
        for name in methods:
            method, out = method_config(name)(), base.out / f"{name}-{seed}"
            run = train(replace(base, method=method, seed=seed, out=out, resume=out.exists()))
            metrics = evaluate(EvaluateConfig(run=run, num_workers=base.num_workers)).metrics
            rows[name].append({key: float(metrics[key] or 0) for key in METRICS})
            first.setdefault(name, run)
            words = (f"{title} {rows[name][-1][key]:.2f}" for key, title in METRICS.items())
            print(f"{name} seed {seed}: {', '.join(words)}", flush=True)
    print(table(rows))
    return first


def table(rows: Mapping[str, Sequence[Row]]) -> str:
    """Return means and standard deviations as Markdown, one line per method."""
    lines = [["method", *METRICS.values()], ["---"] * (1 + len(METRICS))]
    for name, runs in rows.items():
        cells = [name]
        for key in METRICS:
            values = [run[key] for run in runs]
            spread = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
            cells.append(f"{statistics.mean(values):.2f}{spread}")
        lines.append(cells)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def draw_methods(data: Path, runs: Mapping[str, Path], count: int, path: Path) -> None:
    """Write one image: a row for each bird, a column for each method, with headings."""
    test = open_data(data)["test"]
    # Spread over the classes, which are in order in the test split.
    chosen = test.select(np.linspace(0, len(test) - 1, count).round().astype(np.int64))
    paths = [chosen.path(index) for index in range(count)]
    found = {name: list(Localizer(run)(paths)) for name, run in runs.items()}
    rows: list[list[Image.Image]] = []
    for index, bird in enumerate(paths):
        image = load_image(bird)
        ground_truth = None if chosen.boxes is None else chosen.boxes[index]
        results = [found[name][index] for name in runs]
        rows.append([draw(image, r.heat_map, r.boxes, ground_truth, side=240) for r in results])
    sheet = grid(rows)
    header = 24
    titled = Image.new("RGB", (sheet.width, sheet.height + header), "white")
    titled.paste(sheet, (0, header))
    for column, name in enumerate(runs):
        left = column * sheet.width // len(runs)
        ImageDraw.Draw(titled).text((left + 6, 4), name, "black", font_size=15)
    titled.save(path)


def main() -> None:
    """Run all methods and seeds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="data set folder")
    parser.add_argument("--out", type=Path, required=True, help="folder for the runs")
    parser.add_argument("--methods", nargs="+", default=list_methods())
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=TrainConfig.epochs)
    parser.add_argument("--num_workers", type=int, default=TrainConfig.num_workers)
    parser.add_argument("--image", type=Path, help="file for the heat maps")
    parser.add_argument("--birds", type=int, default=8, help="birds in the image")
    options = parser.parse_args()
    base = TrainConfig(
        data=options.data, out=options.out, epochs=options.epochs, num_workers=options.num_workers
    )
    runs = run_all(base, options.methods, options.seeds)
    if options.image:
        draw_methods(options.data, runs, options.birds, options.image)


if __name__ == "__main__":
    main()
