"""``wsol train``."""

import shlex
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from wsol.choices import FOREGROUND
from wsol.cli.main import OK, SOME_IN_ERROR
from wsol.cli.options import next_steps, read_options
from wsol.engine.config import TrainConfig

if TYPE_CHECKING:
    from wsol.engine.train import Training


def run(argv: Sequence[str]) -> int:
    """Train, and say where the run is."""
    config = read_options("train", TrainConfig, argv, positional="data")
    from wsol.engine.train import Training

    training = Training(config)
    folder = training.run()
    steps = next_steps(folder, training.splits)
    sys.stdout.write(f"wrote {folder}: {steps}{_better(config, training)}\n")
    return SOME_IN_ERROR if training.num_errors else OK


def _better(config: TrainConfig, training: "Training") -> str:
    """Return what gives better boxes, of the path that docs/results.md measures."""
    if config.localizer == FOREGROUND:
        return ""
    if "feature_norm" not in config.localizer:
        return "; for better boxes, train with --config boxes"
    # Distilling has one object an image in view; with several it has made boxes worse.
    if training.samples.has_several_labels:
        return ""
    run, new = (shlex.quote(str(config.out) + end) for end in ("", "-distilled"))
    return f"; for better boxes, wsol distill {run} --out {new}"
