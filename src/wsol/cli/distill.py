"""Command ``wsol distill``."""

import sys
from collections.abc import Sequence

from wsol.cli.main import OK, SOME_IN_ERROR
from wsol.cli.options import next_steps, read_options
from wsol.cli.table import print_metrics
from wsol.distillation.config import DistillConfig


def run(argv: Sequence[str]) -> int:
    """Distill a run, and print its metrics on val, if any, and the folder of the new run."""
    config = read_options("distill", DistillConfig, argv, positional="run")
    from wsol.distillation.distill import distill

    done = distill(config)
    if done.val is not None:
        print_metrics({"val": done.val})
    sys.stdout.write(f"wrote {done.folder}: {next_steps(done.folder, done.splits)}\n")
    return SOME_IN_ERROR if done.num_errors else OK
