"""``wsol distill``."""

import sys
from collections.abc import Sequence

from wsol.cli.main import OK, SOME_IN_ERROR
from wsol.cli.options import next_steps, read_options
from wsol.cli.table import print_figures
from wsol.engine.distill_config import DistillConfig


def run(argv: Sequence[str]) -> int:
    """Distill a run, print the figures on val where there are any, and say where the new run is."""
    config = read_options("distill", DistillConfig, argv, positional="run")
    from wsol.engine.distill import distill

    folder, val, num_errors = distill(config)
    if val is not None:
        print_figures({"val": val})
    sys.stdout.write(f"wrote {folder}: {next_steps(folder)}\n")
    return SOME_IN_ERROR if num_errors else OK
