"""Command ``wsol prepare``."""

import sys
from collections.abc import Sequence

from wsol.cli.main import OK, SOME_IN_ERROR
from wsol.cli.options import read_options
from wsol.data.config import (
    CubConfig,
    ImagenetConfig,
    OpenimagesConfig,
    PrepareConfig,
)
from wsol.data.preparation.prepare import OFFICIAL, Report
from wsol.errors import ConfigError, did_you_mean

CONFIGS: dict[str, type[PrepareConfig]] = {
    "cub": CubConfig,
    "imagenet": ImagenetConfig,
    "openimages": OpenimagesConfig,
}

SHOWN = 20
"""Maximum number of faults that are printed."""


def run(argv: Sequence[str]) -> int:
    """Prepare or verify a data set, and print its contents."""
    if not argv or argv[0] in ("-h", "--help"):
        sys.stdout.write(
            f"usage: wsol prepare {'|'.join(CONFIGS)} --out OUT [--OPTION VALUE ...]\n"
        )
        return OK
    name = argv[0]
    if name not in CONFIGS:
        raise ConfigError(f"wsol prepare: no data set {name!r}; {did_you_mean(name, CONFIGS)}")
    positional = "archives" if name == "openimages" else None
    config = read_options(f"prepare {name}", CONFIGS[name], argv[1:], positional)
    from wsol.data.preparation.prepare import prepare

    _print(name, report := prepare(config))
    for fault in report.faults[:SHOWN]:
        sys.stderr.write(f"wsol: {fault}".replace("\n", "\\n") + "\n")
    if len(report.faults) > SHOWN:
        sys.stderr.write(f"wsol: and {len(report.faults) - SHOWN:,} more\n")
    return SOME_IN_ERROR if report.faults else OK


def _print(name: str, report: Report) -> None:
    """Print a line for each split."""
    for split, counts in report.splits.items():
        official = OFFICIAL[name].get(split)
        of = f" (published: {official:,})" if official not in (None, counts.images) else ""
        ground_truth = (
            f", {counts.without_ground_truth:,} without ground truth"
            if counts.without_ground_truth
            else ""
        )
        sys.stdout.write(
            f"{split:5} {counts.images:,} images{of}, {counts.classes:,} classes of "
            f"{counts.fewest:,} to {counts.most:,}{ground_truth}\n"
        )
