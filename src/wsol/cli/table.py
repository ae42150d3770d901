"""Figures as a table for people."""

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

NAMES = {
    "top1_cls": "Top-1 classification",
    "top5_cls": "Top-5 classification",
    "max_box_acc_30": "MaxBoxAcc, IoU 30",
    "max_box_acc_50": "MaxBoxAcc, IoU 50",
    "max_box_acc_70": "MaxBoxAcc, IoU 70",
    "max_box_acc_v2": "MaxBoxAccV2",
    "gt_known": "GT-known Loc",
    "top1_loc": "Top-1 Loc",
    "top5_loc": "Top-5 Loc",
    "threshold": "threshold",
    "num_images": "images",
}


def print_figures(columns: Mapping[str, Mapping[str, float | int | None]]) -> None:
    """Print one column of figures for each name.

    Args:
        columns: heading to figures, as evaluation returns them.

    >>> print_figures({"": {"top1_cls": 50.0, "num_images": 2}})  # doctest: +NORMALIZE_WHITESPACE
     Top-1 classification  50.0
     images                   2
    """
    table = Table(box=None, header_style="bold")
    table.add_column("")
    for heading in columns:
        table.add_column(heading, justify="right")
    for key, name in NAMES.items():
        values = [figures.get(key) for figures in columns.values()]
        if any(key in figures for figures in columns.values()):
            table.add_row(name, *(_text(key, value) for value in values))
    Console().print(table)


def _text(key: str, value: float | int | None) -> str:
    if value is None:
        return "no boxes"
    if key == "num_images":
        return str(value)
    return f"{value:.3f}" if key == "threshold" else f"{value:.1f}"
