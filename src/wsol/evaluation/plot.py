"""A curve over thresholds as a file, where matplotlib is installed."""

import logging
from pathlib import Path

from wsol._utils.files import write_atomically
from wsol.errors import ConfigError
from wsol.evaluation.score_map_metrics import Curve
from wsol.visualization.plots import new_figure, plot_curves

log = logging.getLogger("wsol")


def save_curve(path: Path, curve: Curve, title: str) -> None:
    """Write a PNG with one line per column; without matplotlib say in the log what is needed.

    Args:
        path: the file; its folder exists. An older one is removed where none can be drawn.
        curve: columns in percent, beside ``threshold``.
        title: above the lines.
    """
    try:
        figure = new_figure()
    except ConfigError as error:
        path.unlink(missing_ok=True)
        log.info("no %s, as %s", path.name, error)
        return
    axes = plot_curves({title: curve}, axes=figure.add_subplot())
    axes.set_title(title, parse_math=False)
    write_atomically(path, lambda part: figure.savefig(part, format="png", dpi=150))
