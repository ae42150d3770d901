"""Prediction of chunks in this process."""

import logging
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from wsol._utils.concurrency import in_order
from wsol._utils.progress import Meter
from wsol.errors import ConfigError, ErrorLimitError
from wsol.inference.config import LocalizerOptions
from wsol.inference.exported import is_exported
from wsol.inference.localizer import Localizer
from wsol.prediction.config import PredictConfig
from wsol.prediction.inputs import ImageCollection
from wsol.prediction.job import PredictionJob
from wsol.results.localization import Localization
from wsol.results.store import to_row, write_chunk

log = logging.getLogger("wsol")


def create_predictor(
    config: PredictConfig, images: ImageCollection, kind: Callable[..., Localizer] = Localizer
) -> Localizer:
    """Create the localizer; without a run, its classes are those of the images' labels.

    Raises:
        ConfigError: an option is not valid for the network.
    """
    labels = images.labels
    if labels is not None and config.run is not None and is_exported(config.run):
        raise ConfigError(
            f"labels_from: the exported model {config.run} only returns the map of the predicted "
            "class; set --run to the run folder"
        )
    options = LocalizerOptions.of(
        config,
        classes=labels.classes if labels is not None and config.run is None else None,
        # With Ray, the same kind of device as in the processes that predict.
        device="cpu" if config.engine == "ray" and not config.gpus else config.device,
    )
    return kind(config.run, **vars(options))


def predict_chunks(
    config: PredictConfig,
    job: PredictionJob,
    images: ImageCollection,
    locate: Localizer,
    chunks: Sequence[int],
    errors: int = 0,
    written: Callable[[], None] = lambda: None,
) -> None:
    """Predict chunks, and write each chunk when it is complete; see ``predict_chunks_on_ray``."""
    number = sum(len(job.images(chunk)) for chunk in chunks)
    if number < job.number:
        log.info("predicting %d of %d images", number, job.number)
    indices = map(job.images, chunks)
    found = locate.locate_chunks(images.paths, images.names, indices, images.labels)
    with Meter("predict", number) as meter:
        # Rows are packed in a thread while the network processes the next images.
        rows = in_order(
            to_row, _counted(found, meter, config.max_errors, errors), threads=1, ahead=64
        )
        for chunk in chunks:
            write_chunk(job.folder, chunk, list(islice(rows, len(job.images(chunk)))))
            written()


def _counted(
    results: Iterator[Localization], meter: Meter, max_errors: int | None, errors: int
) -> Iterator[Localization]:
    for result in results:
        if result.error is not None:
            log.warning("%s", result.error)
            errors += 1
            check_limit(errors, max_errors)
        yield result
        meter.advance(1)


def check_limit(errors: int, max_errors: int | None) -> None:
    """Raise an ErrorLimitError if too many images are unreadable."""
    if max_errors is not None and errors > max_errors:
        raise ErrorLimitError(
            f"stopped after {errors} unreadable images (--max_errors {max_errors}); repair or "
            "remove them, or raise --max_errors, and run the same command to resume"
        )
