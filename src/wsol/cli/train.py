"""``wsol train``."""

import sys
from collections.abc import Sequence

from wsol.cli.main import OK, SOME_IN_ERROR
from wsol.cli.options import read_options
from wsol.engine.config import TrainConfig


def run(argv: Sequence[str]) -> int:
    """Train, and say where the run is."""
    config = read_options("train", TrainConfig, argv, positional="data")
    from wsol.engine.train import Training

    training = Training(config)
    folder = training.run()
    sys.stdout.write(
        f"wrote {folder}: next, wsol evaluate {folder} or wsol predict IMAGES --run {folder}\n"
    )
    return SOME_IN_ERROR if training.num_errors else OK
