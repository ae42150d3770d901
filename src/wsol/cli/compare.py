"""``wsol compare``."""

import sys
from collections.abc import Sequence

from wsol.cli.main import OK, SOME_IN_ERROR
from wsol.cli.options import read_options
from wsol.cli.table import print_table
from wsol.engine.compare_config import CompareConfig
from wsol.figures import figure_of

HEADINGS = (
    "localizer",
    "affinity",
    "size",
    "normalization",
    "val MaxBoxAccV2",
    "threshold",
    "test MaxBoxAccV2",
    f"test {figure_of('box_acc_50').title}",
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
                f"{row.images_per_second:.1f}",
            )
            for row in rows
        ],
    )
    sys.stdout.write(
        f"images with ground truth: {rows[0].val_num_with_ground_truth} of val, "
        f"{rows[0].num_with_ground_truth} of test\n"
    )
    sys.stdout.write(f"wrote {config.out}: compare.json, compare.csv, compare.jpg\n")
    return SOME_IN_ERROR if any(row.num_error for row in rows) else OK
