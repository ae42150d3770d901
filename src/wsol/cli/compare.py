"""``wsol compare``."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from wsol.cli.main import OK, SOME_IN_ERROR
from wsol.cli.options import predict_step, read_options
from wsol.cli.table import print_table
from wsol.engine.compare_config import CompareConfig
from wsol.figures import figure_of

if TYPE_CHECKING:
    from wsol.engine.compare import Row

HEADINGS = (
    "localizer",
    "affinity",
    "size",
    "normalization",
    "val MaxBoxAccV2",
    "threshold",
    "test MaxBoxAccV2",
    f"test {figure_of('box_acc_50').title}",
    "at threshold auto",
    "images/s",
)


def run(argv: Sequence[str]) -> int:
    """Compare localizers on a data set, and print the rows, the best on val first."""
    config = read_options("compare", CompareConfig, argv, positional="data")
    from wsol.engine.compare import compare

    rows = compare(config)
    print_table(
        HEADINGS,
        [
            (
                row.localizer,
                row.affinity,
                str(row.size),
                row.normalization,
                f"{row.val_max_box_acc_v2:.1f}",
                f"{row.threshold:.3f}",
                f"{row.max_box_acc_v2:.1f}",
                f"{row.box_acc_50:.1f}",
                f"{row.auto_box_acc_50:.1f}",
                f"{row.images_per_second:.1f}",
            )
            for row in rows
        ],
    )
    sys.stdout.write(
        f"images with ground truth: {rows[0].val_num_with_ground_truth} of val, "
        f"{rows[0].num_with_ground_truth} of test\n"
    )
    drawn = ", compare.jpg" if config.pictures else ""
    sys.stdout.write(f"wrote {config.out}: compare.json, compare.csv{drawn}\n")
    sys.stdout.write(f"next, {_winner_step(config, rows[0])}\n")
    return SOME_IN_ERROR if any(row.num_error for row in rows) else OK


def _winner_step(config: CompareConfig, row: "Row") -> str:
    """Return the command that predicts as the best row reads score maps."""
    if config.save:
        return predict_step(config.run)
    options = [f"--localizer={row.localizer}", f"--size={row.size}"]
    if config.run is None and config.backbone != CompareConfig.backbone:
        options.append(f"--backbone={config.backbone}")
    if config.tap:
        options.append(f"--tap={','.join(config.tap)}")
    if row.affinity != "none":
        options.append(f"--affinity={row.affinity}")
    if config.flip:
        options.append("--flip")
    options += [f"--normalization={row.normalization}", f"--threshold={row.threshold:.3f}"]
    return predict_step(config.run, *options)
