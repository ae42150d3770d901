"""``wsol demo``."""

import sys
from collections.abc import Sequence

from wsol.cli.main import OK
from wsol.cli.options import read_options
from wsol.cli.table import print_metrics
from wsol.training.config import DemoConfig


def run(argv: Sequence[str]) -> int:
    """Run the demonstration, and print its comparison."""
    config = read_options("demo", DemoConfig, argv)
    from wsol.demo import demo

    results = demo(config)
    print_metrics({name: result.metrics for name, result in results.items()})
    sys.stdout.write(
        f"heat maps with predicted (orange) and true (green) boxes, CAM beside ADL: "
        f"{config.out / 'overlays' / 'overview.jpg'}\n"
        f"predicted boxes: {config.out / 'boxes' / 'predictions.json'}\n"
        f"look at them, in any browser: {config.out / 'report' / 'index.html'}\n"
    )
    return OK
