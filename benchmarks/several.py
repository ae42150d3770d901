"""Multiple objects and classes, learned from image-level labels: the default and plain CAM.

    python benchmarks/several.py --out /tmp/several

Toy scenes of one to four objects of up to three classes. Two runs are trained on labels only:

    wsol train SCENES --out RUN                    localizer cam
    wsol train SCENES --out RUN --config boxes     default localizer of prediction

Prints the average precision of the boxes of ``wsol predict --run RUN`` for the test images, of all
objects and of the largest contour only, and of CAM on both runs, at its default threshold of 0.2
and at others.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

from wsol.cli.options import read_options
from wsol.data.open import open_data
from wsol.data.synthetic.scenes import write_scenes
from wsol.evaluation.evaluate import average_precision
from wsol.inference.localizer import Instances, Localizer
from wsol.training.config import TrainConfig
from wsol.training.trainer import train

PLAIN_THRESHOLDS = (0.2, 0.3, 0.4, 0.5, 0.6)


def runs(data: Path, out: Path, seed: int) -> dict[str, Path]:
    """Train missing runs, and return the two runs."""
    made = {}
    for name, setting in (("plain", []), ("boxes", ["--config", "boxes"])):
        made[name] = out / name
        argv = [str(data), "--out", str(made[name]), "--seed", str(seed), *setting]
        if not (made[name] / "model.safetensors").exists():
            again = ["--resume"] if made[name].exists() else []
            train(read_options("train", TrainConfig, [*argv, *again], positional="data"))
    return made


def ways(made: dict[str, Path]) -> Iterator[tuple[str, Localizer]]:
    """Yield each localizer of the runs, and its title."""
    one: Instances = "single"
    for name, run in made.items():
        for threshold in PLAIN_THRESHOLDS:
            yield (
                f"run {name}, plain CAM, largest contour, threshold {threshold}",
                Localizer(run, localizer="cam", instances=one, threshold=threshold, num_workers=2),
            )
    yield "run plain, plain CAM, all objects", Localizer(made["plain"], num_workers=2)
    yield "run boxes, largest contour", Localizer(made["boxes"], instances=one, num_workers=2)
    yield "run boxes, all objects (default)", Localizer(made["boxes"], num_workers=2)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for images and runs")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    data = options.out / "scenes"
    if not data.exists():
        write_scenes(data, train=300, test=150, seed=options.seed, max_objects=4)
    test = open_data(data)["test"]
    print("| boxes | AP50 | AP75 | AP |\n|---|---|---|---|")
    for title, locate in ways(runs(data, options.out, options.seed)):
        found = average_precision(locate, test)
        print(f"| {title} | {found.ap50:.1f} | {found.ap75:.1f} | {found.ap:.1f} |", flush=True)


if __name__ == "__main__":
    main()
