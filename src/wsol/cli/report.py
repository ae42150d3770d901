"""Command ``wsol report``."""

import sys
from collections.abc import Sequence

from wsol.cli.main import OK, SOME_IN_ERROR
from wsol.cli.options import read_options
from wsol.reports.config import ReportConfig


def run(argv: Sequence[str]) -> int:
    """Write the report, and print its path."""
    config = read_options("report", ReportConfig, argv, positional="predictions")
    from wsol.reports.report import report

    written = report(config)
    shown = f"{written.shown} of " if written.shown < written.number else ""
    errors = f", {written.errors} of them unreadable" if written.errors else ""
    sys.stdout.write(f"wrote {written.page}: {shown}{written.number} images{errors}\n")
    return SOME_IN_ERROR if written.errors else OK
