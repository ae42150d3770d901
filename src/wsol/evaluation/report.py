"""The report of a run on a split of a data set."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from wsol.data.samples import Samples
from wsol.inference.localizer import Localizer
from wsol.reports.ground_truth import truth_of
from wsol.reports.report import Written, write_report


def report_split(
    locate: Localizer,
    samples: Samples,
    folder: Path,
    *,
    pictures: int,
    metrics: Mapping[str, float | int | None],
) -> Written:
    """Write the report of a run on a split of a data set.

    Args:
        locate: of the run.
        samples: the split.
        folder: to write.
        pictures: to show at most, spread evenly over the split.
        metrics: of the whole split, by name.

    Raises:
        ConfigError: the folder holds something else, or cannot be written.
    """
    count = min(pictures, len(samples))
    chosen = samples.select(np.arange(count) * len(samples) // count)
    results = locate(chosen.paths(), chosen.ids)
    return write_report(
        results,
        locate.about(samples.root),
        folder,
        truth=truth_of(chosen),
        metrics=metrics,
        number=count,
        pictures=count,
    )
