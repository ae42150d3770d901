"""Kill ``wsol predict`` repeatedly, and check that nothing is lost.

    python benchmarks/kill_predict.py

Predicts 5,000 small images once without interruption. Then predicts the same images into another
folder, where the process, or all of its processes, is killed (SIGKILL) at random moments, during
start-up or after some more chunks; the same command is restarted each time, and completes after the
last kill. Compares every row, box, map and file of both folders, and prints when each kill happened
and what was killed. Exits with 1 if anything differs.
"""

import argparse
import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from wsol.data.synthetic.toy import toy_images
from wsol.results.store import PredictionStore, chunk_file, is_finished

KINDS = 100
"""Number of distinct images; the rest are links to them."""


def write_images(folder: Path, count: int) -> None:
    """Write images of 64 x 64 pixels, one in fifty damaged."""
    folder.mkdir()
    for number, image in enumerate(toy_images(KINDS, seed=0)):
        first = folder / f"{number:05d}.jpg"
        image.image.resize((64, 64)).save(first)
        if number % 50 == 7:
            first.write_bytes(first.read_bytes()[:300])
        for other in range(number + KINDS, count, KINDS):
            (folder / f"{other:05d}.jpg").hardlink_to(first)


def start(photos: Path, out: Path, chunk_size: int) -> subprocess.Popen[bytes]:
    """Start the command in a separate process group."""
    command = [sys.executable, "-m", "wsol", "predict", str(photos), "--out", str(out)]
    command += ["--image_size", "64", "--chunk_size", str(chunk_size), "--format", "coco,csv"]
    command += ["--report", "50", "--device", "cpu"]
    with (out.parent / "log.txt").open("ab") as log:
        return subprocess.Popen(command, stderr=log, stdout=log, start_new_session=True)


def content(out: Path) -> dict[str, str]:
    """Return the digest of every file except locks."""
    return {
        path.relative_to(out).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(out.rglob("*"))
        if path.is_file() and not path.name.startswith(".wsol-lock")
    }


def chunks_of(out: Path) -> int:
    """Return the number of written chunks."""
    return len(list(chunk_file(out, 0).parent.glob("chunk-*.parquet")))


def main() -> int:
    """Kill, compare and print the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=5_000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--chunk_size", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    chance = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        photos, whole, killed = (Path(folder, name) for name in ("photos", "whole", "killed"))
        write_images(photos, options.images)
        began = time.monotonic()
        process = start(photos, whole, options.chunk_size)
        while not chunks_of(whole):
            time.sleep(0.05)
        first = time.monotonic() - began
        clean_status = process.wait()
        seconds = time.monotonic() - began
        print(f"undisturbed: status {clean_status}, {seconds:.0f} s, {chunks_of(whole)} chunks")
        print("| kill | after | of | chunks before | chunks after |\n|---|---|---|---|---|")
        # All kills together leave about a fifth of the work.
        most = round(2 * 0.8 * chunks_of(whole) / options.kills)
        kills = 0
        while kills < options.kills and not is_finished(killed):
            before, begin = chunks_of(killed), time.monotonic()
            process = start(photos, killed, options.chunk_size)
            if chance.random() < 0.3:
                # Includes the start of Python and the loading of the network.
                time.sleep(chance.uniform(0.3, 0.7 * first))
            else:
                wanted = before + chance.randint(0, most)
                while chunks_of(killed) < wanted and process.poll() is None:
                    time.sleep(0.005)
                time.sleep(chance.uniform(0, 0.3))
            both = chance.random() < 0.5
            (os.killpg if both else os.kill)(process.pid, signal.SIGKILL)
            kills += process.wait() == -signal.SIGKILL
            who = "all processes" if both else "the first"
            print(
                f"| {kills} | {time.monotonic() - begin:.1f} s | {who} | {before} "
                f"| {chunks_of(killed)} |",
                flush=True,
            )
        status = start(photos, killed, options.chunk_size).wait()
        names = Counter(result.image_id for result in PredictionStore(killed))
        expected = {path.name for path in photos.iterdir()}
        lost, twice = len(expected - set(names)), sum(count > 1 for count in names.values())
        one, other = content(whole), content(killed)
        differ = sorted(
            name for name in one.keys() | other.keys() if one.get(name) != other.get(name)
        )
        print(
            f"\n{kills} kills; exit status {status}; {len(names)} rows, {lost} lost, {twice} double"
            f"; {len(one)} files, {len(differ)} differ {differ[:5]}"
        )
        return int(bool(lost or twice or differ or status != clean_status))


if __name__ == "__main__":
    sys.exit(main())
