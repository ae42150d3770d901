"""Command ``wsol train``."""

import shlex
import sys
from collections.abc import Sequence

from wsol.cli.main import OK, SOME_IN_ERROR
from wsol.cli.options import next_steps, read_options
from wsol.training.config import TrainConfig
from wsol.types import FOREGROUND


def run(argv: Sequence[str]) -> int:
    """Train a classifier, and print the folder of the run."""
    config = read_options("train", TrainConfig, argv, positional="data")
    from wsol.training.trainer import Trainer

    training = Trainer(config)
    folder = training.run()
    steps = next_steps(folder, training.splits)
    sys.stdout.write(f"wrote {folder}: {steps}{_better(config)}\n")
    return SOME_IN_ERROR if training.num_errors else OK


def _better(config: TrainConfig) -> str:
    """Return the next step to better boxes, as measured in docs/results.md."""
    from wsol.localizers.config import BEST

    if config.localizer == FOREGROUND:
        return ""
    if config.localizer != BEST.localizer:
        return "; for better boxes, train with --config boxes"
    run, new = (shlex.quote(str(config.out) + end) for end in ("", "-distilled"))
    return f"; for better boxes, wsol distill {run} --out {new}"
