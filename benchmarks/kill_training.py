"""Kill a training repeatedly at random moments, and compare its result with an undisturbed one.

    python benchmarks/kill_training.py --kills 50

Trains a small network on toy images, once without interruption, and then interrupted: it is killed
with SIGKILL repeatedly, one time in five before it trains and otherwise within a second of its next
checkpoint, and resumes with --resume; after its end it starts again. Prints how many kills left an
unreadable checkpoint, and whether weights, optimizer and rows were always bit-identical.
"""

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from wsol.data.synthetic.toy import write_toy
from wsol.training.checkpoint import checkpoints


def main() -> None:
    """Train, kill, and compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--num_workers", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    draws = random.Random(options.seed)
    with TemporaryDirectory() as folder:
        root = Path(folder)
        write_toy(root / "data", train=24, val=8, test=4)
        command = [
            *(sys.executable, "-m", "wsol", "train", str(root / "data")),
            *("--backbone", "test_resnet", "--pretrained", "false", "--batch_size", "8"),
            *("--image_size", "64", "--resize", "72", "--precision", "fp32", "--device", "cpu"),
            *("--method", "adl", "--method.layers", "layer4", "--save_every", "1"),
            *("--epochs", "8", "--num_workers", str(options.num_workers), "--val_every", "4"),
        ]
        begin = time.perf_counter()
        subprocess.run([*command, "--out", str(root / "whole")], check=True, capture_output=True)
        whole = time.perf_counter() - begin
        print(f"undisturbed: {whole:.0f} s for 24 steps", flush=True)
        parts = [*command, "--out", str(root / "parts"), "--resume"]
        kills, unread, refused, left = 0, 0, 0, 0
        steps: list[int] = []
        same: list[bool] = []
        while kills < options.kills or (root / "parts").exists():
            ended, message = run_for(parts, root / "parts", draws, kills < options.kills)
            if ended is None:
                kills += 1
                found = checkpoints(root / "parts/checkpoints")
                unread += sum(not readable(path) for path in found)
                steps.append(newest(root / "parts"))
            elif ended == 0:
                same.append(describe(root / "whole") == describe(root / "parts"))
                left += len(list((root / "parts").rglob(".*")))
                shutil.rmtree(root / "parts")
            else:
                refused += 1
                print(f"rejected: {message}", flush=True)
        print(
            f"{kills} kills in {len(same)} trainings, the last checkpoint after each: {steps}\n"
            f"{unread} unreadable checkpoints, {refused} rejected resumes, {left} leftover files\n"
            f"{sum(same)} of {len(same)} trainings ended with the weights, optimizer "
            "and rows of the undisturbed one, bit by bit"
        )
        sys.exit(0 if all(same) and not unread and not refused and not left else 1)


def run_for(
    command: Sequence[str], run: Path, draws: random.Random, kill: bool
) -> tuple[int | None, str]:
    """Run a command, and optionally kill it; return its status, None if it was killed."""
    before, early = newest(run), draws.random() < 0.2
    wait = draws.uniform(0, 5) if early else draws.uniform(0, 1)
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    while kill and not early and process.poll() is None and newest(run) == before:
        time.sleep(0.01)
    try:
        _, message = process.communicate(timeout=wait if kill else None)
    except subprocess.TimeoutExpired:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        if process.stderr is not None:
            process.stderr.close()
        return None, ""
    return process.returncode, message.strip().splitlines()[-1] if message else ""


def newest(run: Path) -> int:
    """Return the step of a run's last checkpoint, 0 without checkpoints."""
    found = checkpoints(run / "checkpoints")
    return int(found[-1].stem.removeprefix("step_")) if found else 0


def readable(path: Path) -> bool:
    """Return whether a checkpoint is readable."""
    try:
        torch.load(path, weights_only=True)
    except Exception:
        return False
    return True


def describe(run: Path) -> list[str]:
    """Return digests of the weights and of the optimizer, and the rows without throughput."""
    state = torch.load(checkpoints(run / "checkpoints")[-1], weights_only=True)
    momentum = [
        value.numpy().tobytes()
        for of in state["optimizer"]["state"].values()
        for value in of.values()
        if value is not None
    ]
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [
        hashlib.sha256((run / "model.safetensors").read_bytes()).hexdigest(),
        hashlib.sha256(b"".join(momentum)).hexdigest(),
        *(repr({key: row[key] for key in row if key != "images_per_second"}) for row in rows),
    ]


if __name__ == "__main__":
    main()
