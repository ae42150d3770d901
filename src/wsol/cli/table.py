"""Figures as a table for people."""

import sys
from collections.abc import Iterable, Mapping, Sequence

from rich.console import Console
from rich.table import Table

from wsol.reports.metrics import METRICS

WIDTH = 120
"""Characters that a table of many columns may take."""


def print_metrics(columns: Mapping[str, Mapping[str, float | int | None]]) -> None:
    """Print one column of figures for each name; those of boxes only where there are some.

    Args:
        columns: heading to figures, as evaluation returns them.

    >>> print_metrics({"": {"top1_cls": 50.0, "num_images": 2}})  # doctest: +NORMALIZE_WHITESPACE
     Top-1 classification  50.0
     images                   2
    """
    table = Table(box=None, header_style="bold")
    table.add_column("")
    for heading in columns:
        table.add_column(heading, justify="right")
    for key, (name, kind) in METRICS.items():
        # Of what can go wrong, only what did is worth a line.
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
    """Print rows under headings, numbers to the right.

    Args:
        headings: of the columns; the first is of names.
        rows: texts, one for each heading.

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
    # A terminal that is too narrow breaks the lines, but no figure is cut.
    console = Console()
    Console(width=max(console.width, WIDTH)).print(table)


def print_rows(title: str, rows: Mapping[str, str]) -> None:
    """Print a short list of names with a value each, or nothing if there is none.

    Args:
        title: above the rows.
        rows: name to value.

    >>> print_rows("the worst maps", {"a.jpg": "12.5"})  # doctest: +NORMALIZE_WHITESPACE
    the worst maps
      a.jpg  12.5
    """
    if not rows:
        return
    sys.stdout.write(f"{title}\n")
    # A file's name may hold line breaks, or bytes that are not UTF-8.
    shown = {ascii(name)[1:-1] if not name.isprintable() else name: rows[name] for name in rows}
    width = max(map(len, shown))
    for name, value in shown.items():
        sys.stdout.write(f"  {name:{width}}  {value}\n")


def _is_known(key: str, figures: Mapping[str, float | int | None]) -> bool:
    """Return whether a figure is there and means something: none of boxes does without any."""
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
