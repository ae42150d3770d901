"""A curve over thresholds as a picture, where matplotlib is installed."""

import logging
from pathlib import Path

from wsol.engine.measure import Curve
from wsol.files import write_atomically

log = logging.getLogger("wsol")


def plot_curve(path: Path, curve: Curve, title: str) -> None:
    """Write a PNG with one line per column; without matplotlib say in the log what is needed.

    Args:
        path: the file; its folder exists. An older one is removed where none can be drawn.
        curve: columns in percent, the first of which is ``threshold``.
        title: above the lines.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        path.unlink(missing_ok=True)
        log.info("no %s, as matplotlib is not installed: pip install wsol[plot]", path.name)
        return
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.add_subplot()
    (x_name, x), *lines = curve.items()
    for name, values in lines:
        # Of the boxes of all contours the lines are dashed, beside those of the largest.
        axes.plot(x, values, "--" if "_v2_" in name else "-", label=name)
    axes.set(xlabel=x_name, ylabel="percent", title=title, xlim=(0, 1), ylim=(0, 100))
    axes.grid(alpha=0.3)
    axes.legend()
    write_atomically(path, lambda part: figure.savefig(part, format="png", dpi=150))
