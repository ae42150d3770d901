"""Command ``wsol evaluate``, for runs and for score maps of other programs."""

import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import NoReturn

from wsol.cli.main import OK, SOME_IN_ERROR
from wsol.cli.options import gives, predict_step, read_options
from wsol.cli.table import print_metrics, print_rows
from wsol.errors import ConfigError
from wsol.evaluation.config import EvaluateConfig, EvaluateMapsConfig

NOT_BOTH = "use a run or --maps, not both"

SHOWN = 5
"""Number of the worst maps that are printed; worst.csv contains more."""


def run(argv: Sequence[str]) -> int:
    """Evaluate a run, or score maps with ``--maps``, and print the metrics."""
    if gives(argv, "maps"):
        return _evaluate_maps(argv)
    if {"-h", "--help"} & set(argv):
        _help()
    config = read_options("evaluate", EvaluateConfig, argv, positional="run")
    from wsol.evaluation.evaluate import evaluate

    result = evaluate(config)
    if result.on_main_process:
        print_metrics(result.columns)
        if result.page is not None:
            sys.stdout.write(f"report: {result.page}\n")
        sys.stdout.write(f"next, {predict_step(config.run)}\n")
    return SOME_IN_ERROR if result.num_errors else OK


def _evaluate_maps(argv: Sequence[str]) -> int:
    if gives(argv, "run"):
        raise ConfigError(f"wsol evaluate: {NOT_BOTH}")
    config = read_options("evaluate", EvaluateMapsConfig, argv, instead=NOT_BOTH)
    from wsol.evaluation.score_maps import evaluate_maps

    result = evaluate_maps(config)
    given = "no threshold" if config.threshold is None else f"threshold {config.threshold:g}"
    columns = {given: result.metrics}
    if result.at_best_threshold is not None:
        columns["best threshold on these maps (for comparison only)"] = result.at_best_threshold
    print_metrics(columns)
    print_rows(
        "the worst maps",
        {
            row.image: "" if row.score is None else f"{row.score:.1f}"
            for row in result.worst[:SHOWN]
        },
    )
    sys.stdout.write(f"wrote {result.out}: metrics.json, images.csv, worst.csv, curve.csv\n")
    return SOME_IN_ERROR if result.statuses["missing"] + result.statuses["error"] else OK


def _help() -> NoReturn:
    """Print the options of both forms, and exit."""
    with suppress(SystemExit):
        read_options("evaluate", EvaluateConfig, ["--help"], positional="run")
    sys.stdout.write("\n")
    read_options("evaluate", EvaluateMapsConfig, ["--help"])
    raise SystemExit(OK)
