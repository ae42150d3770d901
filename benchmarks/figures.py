"""Deterministic results before and after a change of the code.

    python benchmarks/figures.py ../shared/data/cub10 ../shared/data/cats --out before.json
    python benchmarks/figures.py ../shared/data/cub10 ../shared/data/cats --against before.json

For each data set: the boxes of the default without training, the metrics of a short training with
ADL and of one with ``--config boxes``, and the boxes of the exported model of the latter. All
commands run on the CPU in float32, with fixed seeds. ``--against`` prints each value that differs,
and exits with 1 if there are any. ``--demo`` adds the table of ``wsol demo``.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

COMPUTE = ("--precision", "fp32", "--device", "cpu")

MOST = 60
"""Maximum number of images with predicted boxes."""


def wsol(*arguments: object) -> None:
    """Run a command, and print its output only if it fails."""
    command = [sys.executable, "-m", "wsol", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")


def boxes(folder: Path, data: Path) -> dict[str, list[float]]:
    """Return the boxes of a prediction, by number and image."""
    rows = json.loads((folder / "predictions.json").read_text(encoding="utf-8"))
    return {
        f"{number} {Path(row['file_name']).relative_to(data)}": [*row["bbox"], row["score"]]
        for number, row in enumerate(rows)
    }


def figures_of_set(data: Path, work: Path) -> dict[str, Any]:
    """Return the results of a data set, whose test images are in ``test/`` or ``images/``."""
    test = data / "test" if (data / "test").is_dir() else data / "images"
    images = sorted(path for path in test.rglob("*") if path.suffix in (".jpg", ".png", ".JPEG"))
    images = images[:: max(len(images) // MOST, 1)][:MOST]
    ground_truth = data / "test_boxes.csv"
    given = ("--boxes", ground_truth) if ground_truth.exists() else ()
    found: dict[str, Any] = {}
    wsol("predict", *images, "--out", work / "predicted", "--report", 0, *COMPUTE)
    found["untrained"] = boxes(work / "predicted", data)
    for name, options in (
        ("boxes", ("--config", "boxes")),
        ("adl", ("--method", "adl", "--epochs", 1, "--image_size", 128, "--resize", 144)),
    ):
        run = work / name
        wsol("train", data, "--out", run, "--val_fraction", 0, *options, *COMPUTE)
        wsol("evaluate", run, *given, "--report", 0, *COMPUTE)
        found[name] = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    wsol("export", work / "boxes", "--out", work / "boxes.onnx")
    options = ("--run", work / "boxes.onnx", "--report", 0, *COMPUTE)
    wsol("predict", *images, "--out", work / "graph", *options)
    found["graph"] = boxes(work / "graph", data)
    return found


def demo(work: Path) -> dict[str, Any]:
    """Return the metrics of both runs of ``wsol demo``."""
    wsol("demo", "--out", work / "demo")
    files = sorted((work / "demo").rglob("metrics*.json"))
    return {
        path.relative_to(work / "demo").as_posix(): json.loads(path.read_text(encoding="utf-8"))
        for path in files
    }


def flat(found: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the leaves of nested results, by their path."""
    if isinstance(found, Mapping):
        for key, value in found.items():
            yield from flat(value, f"{name}/{key}")
    else:
        yield name, found


def differences(before: Any, after: Any) -> list[str]:
    """Return a line for each value that differs."""
    old, new = dict(flat(before)), dict(flat(after))
    return [
        f"{name}: {old.get(name)} before, {new.get(name)} now"
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Record results, or compare them with recorded ones."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="*", help="data sets")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    parser.add_argument("--against", type=Path, help="JSON file to compare with")
    parser.add_argument("--demo", action="store_true", help="also the table of wsol demo")
    options = parser.parse_args(arguments)
    found: dict[str, Any] = {}
    for folder in options.folders:
        with TemporaryDirectory() as work:
            found[folder.name] = figures_of_set(folder.resolve(), Path(work))
    if options.demo:
        with TemporaryDirectory() as work:
            found["demo"] = demo(Path(work))
    if options.out is not None:
        options.out.write_text(json.dumps(found, indent=1, sort_keys=True), encoding="utf-8")
    number = len(dict(flat(found)))
    if options.against is None:
        print(f"{number} values")
        return 0
    # Written and read, so that both have JSON types.
    faults = differences(json.loads(options.against.read_text()), json.loads(json.dumps(found)))
    print(*faults[:20], f"{len(faults)} of {number} values differ", sep="\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
