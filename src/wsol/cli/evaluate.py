"""``wsol evaluate``."""

from collections.abc import Sequence

from wsol.cli.main import OK
from wsol.cli.options import read_options
from wsol.cli.table import print_figures
from wsol.engine.config import EvaluateConfig


def run(argv: Sequence[str]) -> int:
    """Evaluate, and print the figures."""
    config = read_options("evaluate", EvaluateConfig, argv, positional="run")
    from wsol.engine.evaluate import evaluate

    result = evaluate(config)
    if result.on_main_process:
        print_figures(
            {
                f"threshold from {result.threshold_from}": result.metrics,
                f"best threshold on {config.split} (for comparison only)": result.at_best_threshold,
            }
        )
    return OK
