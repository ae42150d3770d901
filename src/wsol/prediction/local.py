"""Prediction of parts in this process."""

import logging
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from wsol._utils.concurrency import in_order
from wsol._utils.progress import Meter
from wsol.errors import ConfigError, ErrorLimitError
from wsol.inference.exported import is_exported
from wsol.inference.localizer import Localizer
from wsol.localizers.config import localizer_options
from wsol.prediction.config import PredictConfig
from wsol.prediction.inputs import ImageCollection
from wsol.prediction.job import PredictionJob
from wsol.results.localization import Localization
from wsol.results.store import to_row, write_chunk

log = logging.getLogger("wsol")


def create_predictor(
    config: PredictConfig, images: ImageCollection, kind: Callable[..., Localizer] = Localizer
) -> Localizer:
    """Return the localizer of a prediction.

    Args:
        config: the options.
        images: all of them; their labels are the classes where there is no run.
        kind: makes the localizer.

    Raises:
        ConfigError: an option does not fit.
    """
    labels = images.labels
    if labels is not None and config.run is not None and is_exported(config.run):
        raise ConfigError(
            f"labels_from: {config.run} is an exported graph, which has a map of each image's "
            "likeliest class alone: give --run the run folder"
        )
    return kind(
        config.run,
        backbone=config.backbone,
        classes=labels.classes if labels is not None and config.run is None else None,
        **localizer_options(config),
        threshold=config.threshold,
        labels=config.labels,
        objects=config.instances,
        size=config.image_size,
        batch_size=config.batch_size,
        num_workers=config.num_workers,
        max_pixels=config.max_pixels,
        scaled_decoding=config.scaled_decoding,
        precision=config.precision,
        # In a cluster it computes as those do that make the rows.
        device="cpu" if config.engine == "ray" and not config.gpus else config.device,
    )


def predict_chunks(
    config: PredictConfig,
    job: PredictionJob,
    images: ImageCollection,
    locate: Localizer,
    chunks: Sequence[int],
    errors: int = 0,
    written: Callable[[], None] = lambda: None,
) -> None:
    """Predict some parts and write each when it is whole.

    Args:
        config: the options.
        job: of the prediction.
        images: all of them.
        locate: knows what it wants to know of them.
        chunks: numbers of those to predict.
        errors: number of images that could not be read before.
        written: called when a part is there.
    """
    number = sum(len(job.images(chunk)) for chunk in chunks)
    if number < job.number:
        log.info("%d of %d images are left to do here", number, job.number)
    wanted = map(job.images, chunks)
    found = locate.locate_chunks(images.paths, images.names, wanted, images.labels)
    with Meter("predict", number) as meter:
        # Rows are packed while the network looks at the next images.
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
    """Stop where too many images are in error.

    Args:
        errors: number of them.
        max_errors: that are allowed; None: any number.

    Raises:
        ErrorLimitError: there are more.
    """
    if max_errors is not None and errors > max_errors:
        raise ErrorLimitError(
            f"stopped, as {errors} images could not be read: see to them, or give a "
            f"higher --max-errors than {max_errors}; the same command then goes on"
        )
