"""Command ``wsol demo``."""

import sys
from collections.abc import Sequence

from wsol.cli.main import OK
from wsol.cli.options import read_options
from wsol.cli.table import print_metrics
from wsol.training.config import DemoConfig


def run(argv: Sequence[str]) -> int:
    """Run the demonstration, and print a comparison of both methods."""
    config = read_options("demo", DemoConfig, argv)
    from wsol.demo import demo

    results = demo(config)
    print_metrics({name: result.metrics for name, result in results.items()})
    sys.stdout.write(
        f"heat maps of CAM and ADL with predicted (orange) and ground-truth (green) boxes: "
        f"{config.out / 'overlays' / 'overview.jpg'}\n"
        f"predicted boxes: {config.out / 'boxes' / 'predictions.json'}\n"
        f"report: {config.out / 'report' / 'index.html'}\n"
    )
    return OK
