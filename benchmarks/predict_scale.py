"""Memory of ``wsol predict`` with very many images, and time to index them.

    python benchmarks/predict_scale.py

Indexes a folder of a million empty files in a separate process, and prints seconds and peak
memory. Then predicts 20,000 links to a hundred images, and prints the memory of all processes
over time, and the growth per thousand images.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil

from wsol.data.images import index_images
from wsol.data.synthetic.toy import toy_images

KINDS = 100


def index(folder: Path) -> None:
    """Index a folder; print number, seconds and peak memory in MB."""
    begun = time.perf_counter()
    names = index_images(folder)
    seconds = time.perf_counter() - begun
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{len(names):,} names: {seconds:.1f} s, peak memory of the process {peak:.0f} MB")


def write_names(folder: Path, count: int) -> None:
    """Create empty files in folders of ten thousand."""
    for number in range(count):
        place = folder / f"class_{number // 10_000:04d}"
        if number % 10_000 == 0:
            place.mkdir()
        os.close(os.open(place / f"photograph_{number:09d}.jpg", os.O_CREAT | os.O_WRONLY))


def write_images(folder: Path, count: int) -> None:
    """Write small images, and links to them."""
    for number, image in enumerate(toy_images(KINDS, seed=0)):
        first = folder / f"{number:06d}.jpg"
        image.image.resize((96, 96)).save(first)
        for other in range(number + KINDS, count, KINDS):
            (folder / f"{other:06d}.jpg").hardlink_to(first)


def memory(process: psutil.Process) -> float:
    """Return the memory of a process and its workers in MB, without memory-mapped files.

    How much of those is counted depends on other processes of the machine.
    """
    total = 0
    for each in [process, *process.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
            status = Path(f"/proc/{each.pid}/status").read_text()
            # A process that has just ended has no memory.
            total += int((status.partition("RssAnon:")[2].split() or ["0"])[0])
    return total / 1024


def done(out: Path) -> int:
    """Return the number of written chunks."""
    return len(list((out / "localizations").glob("chunk-*.parquet")))


def watch(photos: Path, out: Path, count: int, size: int) -> None:
    """Predict, and print memory over images and its slope."""
    command = [sys.executable, "-m", "wsol", "predict", str(photos), "--out", str(out)]
    command += ["--image_size", str(size), "--device", "cpu"]
    began = time.perf_counter()
    rows: list[tuple[int, float]] = []
    with (out.parent / "log.txt").open("wb") as log:
        started = subprocess.Popen(command, stderr=log, stdout=log)
        process = psutil.Process(started.pid)
        while started.poll() is None:
            time.sleep(0.5)
            try:
                rows.append((min(512 * done(out), count), memory(process)))
            except psutil.NoSuchProcess:
                break
    seconds = time.perf_counter() - began
    print(f"{count:,} images: exit status {started.wait()}, {seconds:.0f} s")
    print("| images | MB |\n|---|---|")
    for mark in np.linspace(count / 10, count, 10).astype(int):
        found = [used for number, used in rows if abs(number - mark) <= 512]
        print(f"| {mark:,} | {max(found, default=float('nan')):.0f} |")
    # At the end the workers have exited, and formats and report are written.
    numbers, used = np.array([row for row in rows if 0.1 <= row[0] / count <= 0.95]).T
    slope = np.polyfit(numbers / 1000, used, 1)[0]
    print(f"{slope:.2f} MB per 1,000 images; peak {max(used for _, used in rows):.0f} MB")


def main() -> None:
    """Measure both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--names", type=int, default=1_000_000)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--image_size", type=int, default=64, help="side of the network's input")
    parser.add_argument("--index", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.index:
        index(options.index)
        return
    with tempfile.TemporaryDirectory() as folder:
        names, photos, out = (Path(folder, name) for name in ("names", "photos", "out"))
        for each in (names, photos, out):
            each.mkdir()
        write_names(names, options.names)
        subprocess.run([sys.executable, __file__, "--index", str(names)], check=True)
        write_images(photos, options.images)
        watch(photos, out, options.images, options.image_size)


if __name__ == "__main__":
    main()
