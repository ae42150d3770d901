"""Prediction on a Ray cluster whose actors are killed, compared with the local engine.

    OMP_NUM_THREADS=1 python benchmarks/cluster.py --images 2000 --kills 10

Generates toy images, a few of which are unreadable, predicts them locally and on the cluster, kills
actors with SIGKILL at random moments during the cluster's prediction, and compares the prediction
files. Prints the number of kills, and of rows that are lost, duplicated, or different.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from contextlib import suppress
from pathlib import Path

from wsol.data.synthetic.toy import toy_images
from wsol.results.store import read_rows

MARK = "WSOL_CLUSTER_BENCHMARK"


def make(folder: Path, number: int) -> None:
    """Write images, every hundredth of which is invalid."""
    folder.mkdir()
    few = [image.image for image in toy_images(min(number, 100), seed=0)]
    for index in range(number):
        path = folder / f"{index:06d}.jpg"
        if index % 100 == 99:
            path.write_bytes(b"no image")
        else:
            few[index % len(few)].rotate(index // len(few)).save(path)


def actors(mark: str) -> list[int]:
    """Return the prediction processes of our cluster."""
    found = []
    for process in Path("/proc").iterdir():
        # It may end at any moment.
        with suppress(OSError):
            if process.name.isdecimal() and mark.encode() in (process / "environ").read_bytes():
                name = (process / "cmdline").read_bytes()
                if b"PartPredictor" in name:
                    found.append(int(process.name))
    return found


def predict(folder: Path, out: Path, options: list[str], kills: int) -> tuple[float, int]:
    """Predict while killing actors, and return seconds and kills."""
    mark, started, killed = uuid.uuid4().hex, time.perf_counter(), 0
    chance = random.Random(0)
    process = subprocess.Popen(
        [sys.executable, "-m", "wsol", "predict", str(folder), "--out", str(out), *options],
        env=os.environ | {MARK: mark},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while process.poll() is None:
        time.sleep(chance.uniform(2, 8) if killed < kills else 0.2)
        alive = actors(mark) if killed < kills else []
        if alive:
            with suppress(ProcessLookupError):
                os.kill(chance.choice(alive), signal.SIGKILL)
                killed += 1
    if process.returncode != 3:
        sys.exit(f"wsol predict ended with status {process.returncode}")
    return time.perf_counter() - started, killed


def rows(out: Path) -> Counter[str]:
    """Return the number of rows of each image."""
    parts = range(len(list((out / "localizations").glob("chunk-*.parquet"))))
    return Counter(row["image_id"] for row in read_rows(out, parts, ["image_id"]))


def main() -> None:
    """Compare both predictions and print the differences."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--actors", type=int, default=2)
    given = parser.parse_args()
    options = [
        "--device",
        "cpu",
        "--report",
        "0",
        "--chunk_size",
        "64",
        "--image_size",
        "128",
        "--num_workers",
        "1",
    ]
    cluster = ["--engine", "ray", "--actors", str(given.actors)]
    with tempfile.TemporaryDirectory() as place:
        folder, local, ray = (Path(place, name) for name in ("photos", "local", "ray"))
        make(folder, given.images)
        here, _ = predict(folder, local, options, kills=0)
        there, kills = predict(folder, ray, [*options, *cluster], given.kills)
        expected, found = rows(local), rows(ray)
        files = sorted(path.name for path in (local / "localizations").glob("chunk-*"))
        different = [
            name
            for name in files
            if (local / "localizations" / name).read_bytes()
            != (ray / "localizations" / name).read_bytes()
        ]
    print(f"{given.images} images, {len(files)} chunks, {kills} actors killed")
    print(f"local {here:.0f} s, cluster {there:.0f} s, both with start and end")
    print(f"rows lost {len(expected - found)}, duplicated {len(found - expected)}")
    print(f"prediction files that are not identical: {len(different)}")


if __name__ == "__main__":
    main()
