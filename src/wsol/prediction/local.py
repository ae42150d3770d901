"""Prediction of parts in this process."""

import logging
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from wsol._utils.concurrency import in_order
from wsol._utils.progress import Meter
from wsol.errors import ConfigError, ErrorLimitError
from wsol.inference.exported import is_graph
from wsol.inference.localizer import Localizer
from wsol.localizers.config import reading_options
from wsol.prediction.config import PredictConfig
from wsol.prediction.inputs import Pictures
from wsol.prediction.job import Plan
from wsol.results.localization import Localization
from wsol.results.store import to_row, write_part

log = logging.getLogger("wsol")


def create_predictor(
    config: PredictConfig, pictures: Pictures, kind: Callable[..., Localizer] = Localizer
) -> Localizer:
    """Return the localizer of a prediction.

    Args:
        config: the options.
        pictures: all of them; their labels are the classes where there is no run.
        kind: makes the localizer.

    Raises:
        ConfigError: an option does not fit.
    """
    labels = pictures.labels
    if labels is not None and config.run is not None and is_graph(config.run):
        raise ConfigError(
            f"labels_from: {config.run} is an exported graph, which has a map of each image's "
            "likeliest class alone: give --run the run folder"
        )
    return kind(
        config.run,
        backbone=config.backbone,
        classes=labels.classes if labels is not None and config.run is None else None,
        **reading_options(config),
        threshold=config.threshold,
        labels=config.labels,
        objects=config.objects,
        size=config.size,
        batch_size=config.batch_size,
        workers=config.workers,
        max_pixels=config.max_pixels,
        scaled_decoding=config.scaled_decoding,
        precision=config.precision,
        # In a cluster it computes as those do that make the rows.
        cpu=config.cpu or (config.engine == "ray" and not config.gpus),
    )


def predict_parts(
    config: PredictConfig,
    plan: Plan,
    pictures: Pictures,
    locate: Localizer,
    parts: Sequence[int],
    errors: int = 0,
    written: Callable[[], None] = lambda: None,
) -> None:
    """Predict some parts and write each when it is whole.

    Args:
        config: the options.
        plan: of the prediction.
        pictures: all of them.
        locate: knows what it wants to know of them.
        parts: numbers of those to predict.
        errors: number of pictures that could not be read before.
        written: called when a part is there.
    """
    number = sum(len(plan.pictures(part)) for part in parts)
    if number < plan.number:
        log.info("%d of %d pictures are left to do here", number, plan.number)
    wanted = map(plan.pictures, parts)
    found = locate.locate_parts(pictures.paths, pictures.names, wanted, pictures.labels)
    with Meter("predict", number) as meter:
        # Rows are packed while the network looks at the next pictures.
        rows = in_order(
            to_row, _counted(found, meter, config.max_errors, errors), threads=1, ahead=64
        )
        for part in parts:
            write_part(plan.folder, part, list(islice(rows, len(plan.pictures(part)))))
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
    """Stop where too many pictures are in error.

    Args:
        errors: number of them.
        max_errors: that are allowed; None: any number.

    Raises:
        ErrorLimitError: there are more.
    """
    if max_errors is not None and errors > max_errors:
        raise ErrorLimitError(
            f"stopped, as {errors} pictures could not be read: see to them, or give a "
            f"higher --max-errors than {max_errors}; the same command then goes on"
        )
