"""Command ``wsol compare``."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from wsol.cli.main import OK, SOME_IN_ERROR
from wsol.cli.options import predict_step, read_options
from wsol.cli.table import print_table
from wsol.evaluation.config import CompareConfig
from wsol.reports.metrics import metric_of

if TYPE_CHECKING:
    from wsol.evaluation.compare import Row

COLUMNS = {
    "localizer": "localizer",
    "affinity": "affinity",
    "image_size": "size",
    "normalization": "normalization",
    "val_agreement": "val agreement",
    "val_max_box_acc_v2": "val MaxBoxAccV2",
    "threshold": "threshold",
    "max_box_acc_v2": "test MaxBoxAccV2",
    "box_acc_50": f"test {metric_of('box_acc_50').title}",
    "auto_box_acc_50": "at threshold auto",
    "gt_box_acc_50": "at threshold by ground truth",
    "images_per_second": "images/s",
}
"""Heading of each field of a row; columns without values are not printed."""


def run(argv: Sequence[str]) -> int:
    """Compare localizers on a data set, and print a table sorted by the result on val."""
    config = read_options("compare", CompareConfig, argv, positional="data")
    from wsol.evaluation.compare import compare

    rows = compare(config)
    shown = [key for key in COLUMNS if getattr(rows[0], key) is not None]
    print_table(
        [COLUMNS[key] for key in shown],
        [[_text(key, getattr(row, key)) for key in shown] for row in rows],
    )
    sys.stdout.write(
        f"images with ground truth: {rows[0].val_num_with_ground_truth} of val, "
        f"{rows[0].num_with_ground_truth} of test\n{_choice(rows)}"
    )
    drawn = ", compare.jpg" if config.num_overlays else ""
    sys.stdout.write(f"wrote {config.out}: compare.json, compare.csv{drawn}\n")
    sys.stdout.write(f"next, {_winner_step(config, rows[0])}\n")
    return SOME_IN_ERROR if any(row.num_error for row in rows) else OK


def _text(key: str, value: str | float) -> str:
    if isinstance(value, float):
        return f"{value:.3f}" if key == "threshold" else f"{value:.1f}"
    return str(value)


def _choice(rows: Sequence["Row"]) -> str:
    """Describe a choice without ground truth, and the choice that ground truth would make."""
    if rows[0].val_agreement is None:
        return ""
    text = (
        f"chosen without ground truth, by {rows[0].num_with_pseudo_box} pseudo-boxes: not "
        "comparable with results of a choice by ground truth\n"
    )
    for row in rows:
        if row.is_gt_winner:
            text += (
                f"ground truth of val chooses {row.localizer}, affinity {row.affinity}, size "
                f"{row.image_size}, {row.normalization}, threshold {row.gt_threshold:.3f}"
            )
            text += _difference(rows[0].box_acc_50, row.gt_box_acc_50)
    return text


def _difference(chosen: float | None, by_ground_truth: float | None) -> str:
    if chosen is None or by_ground_truth is None:
        return "\n"
    return f": {by_ground_truth:.1f} instead of {chosen:.1f} correct on test\n"


def _winner_step(config: CompareConfig, row: "Row") -> str:
    """Return the command that predicts with the localizer options of the best row."""
    if config.save:
        return predict_step(config.run)
    options = [f"--localizer={row.localizer}", f"--image_size={row.image_size}"]
    if config.run is None and config.backbone != CompareConfig.backbone:
        options.append(f"--backbone={config.backbone}")
    if config.layers:
        options.append(f"--layers={','.join(config.layers)}")
    if row.affinity != "none":
        options.append(f"--affinity={row.affinity}")
    if config.flip:
        options.append("--flip")
    options += [f"--normalization={row.normalization}", f"--threshold={row.threshold:.3f}"]
    return predict_step(config.run, *options)
