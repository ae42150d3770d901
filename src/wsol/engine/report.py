"""From the record of a prediction to its report."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from wsol.data.samples import Samples
from wsol.engine.localize import Localizer
from wsol.engine.progress import Meter
from wsol.engine.report_config import ReportConfig
from wsol.errors import DataError
from wsol.formats.record import Record
from wsol.localization import Localization
from wsol.review.report import Written, check_folder, write_report
from wsol.review.truth import read_truth, truth_of


def report(config: ReportConfig) -> Written:
    """Write the report of a prediction.

    Args:
        config: the options.

    Raises:
        DataError: there is no finished prediction, or a file of it cannot be read.
        AnnotationError: the true boxes cannot be used.
        ConfigError: the output folder holds something else, or cannot be written.
    """
    if config.images is not None and not config.images.is_dir():
        raise DataError(f"{config.images}: no such folder of pictures")
    record = Record(config.predictions, config.images)
    folder = config.predictions / "report" if config.out is None else config.out
    check_folder(folder)
    truth = None
    if config.boxes is not None:
        sizes = {result.image_id: result.image_size for result in record}
        truth = read_truth(config.boxes, sizes, record.about.images)
    with Meter("report", len(record)) as meter:

        def counted() -> Iterator[Localization]:
            for result in record:
                yield result
                meter.advance(1)

        return write_report(
            counted(),
            record.about,
            folder,
            truth=truth,
            number=len(record),
            pictures=config.pictures,
            side=config.side,
            max_pixels=config.max_pixels,
        )


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
