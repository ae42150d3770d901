"""Tables and lists on standard output."""

import sys
from collections.abc import Iterable, Mapping, Sequence

from rich.console import Console
from rich.table import Table

from wsol.reports.metrics import METRICS

WIDTH = 120
"""Minimum width of a table in characters."""


def print_metrics(columns: Mapping[str, Mapping[str, float | int | None]]) -> None:
    """Print a table of metrics; metrics of boxes are left out if there are no boxes.

    >>> print_metrics({"": {"top1_cls": 50.0, "num_images": 2}})  # doctest: +NORMALIZE_WHITESPACE
     Top-1 classification  50.0
     images                   2
    """
    table = Table(box=None, header_style="bold")
    table.add_column("")
    for heading in columns:
        table.add_column(heading, justify="right")
    for key, (name, kind) in METRICS.items():
        # Counts of faults are printed only if a fault occurred.
        nothing_wrong = kind == "fault" and not any(
            figures.get(key) for figures in columns.values()
        )
        if not nothing_wrong and any(_is_known(key, figures) for figures in columns.values()):
            values = (
                _text(key, figures[key]) if key in figures else "" for figures in columns.values()
            )
            table.add_row(name, *values)
    Console().print(table)


def print_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table, with the first column aligned left and the others aligned right.

    >>> print_table(("name", "value"), [("a", "1"), ("b", "10")])  # doctest: +NORMALIZE_WHITESPACE
     name  value
     a         1
     b        10
    """
    table = Table(box=None, header_style="bold")
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="right" if number else "left")
    for row in rows:
        table.add_row(*row)
    # A terminal that is too narrow wraps the lines, instead of rich truncating numbers.
    console = Console()
    Console(width=max(console.width, WIDTH)).print(table)


def print_rows(title: str, rows: Mapping[str, str]) -> None:
    """Print a title and a list of names with values, or nothing if the list is empty.

    >>> print_rows("the worst maps", {"a.jpg": "12.5"})  # doctest: +NORMALIZE_WHITESPACE
    the worst maps
      a.jpg  12.5
    """
    if not rows:
        return
    sys.stdout.write(f"{title}\n")
    # A file name may contain line breaks, or bytes that are not UTF-8.
    shown = {ascii(name)[1:-1] if not name.isprintable() else name: rows[name] for name in rows}
    width = max(map(len, shown))
    for name, value in shown.items():
        sys.stdout.write(f"  {name:{width}}  {value}\n")


def _is_known(key: str, figures: Mapping[str, float | int | None]) -> bool:
    """Return whether a metric has a value; metrics of boxes have none without ground truth."""
    if figures.get("num_with_ground_truth") == 0 and key == "threshold":
        return False
    return key in figures and (
        figures[key] is not None or figures.get("num_with_ground_truth") != 0
    )


def _text(key: str, value: float | int | None) -> str:
    if value is None:
        return "no boxes"
    if isinstance(value, int):
        return str(value)
    return f"{value:.3f}" if METRICS[key].kind == "threshold" else f"{value:.1f}"
