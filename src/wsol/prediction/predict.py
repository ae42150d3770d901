"""Prediction from files to files."""

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType

from wsol._utils.files import output_folder
from wsol._utils.names import place
from wsol.data.images import load_image
from wsol.data.shards.reader import is_sharded
from wsol.errors import ConfigError
from wsol.formats import LINKING
from wsol.formats.config import format_options
from wsol.formats.convert import convert, create_writers
from wsol.inference.device import announce
from wsol.inference.localizer import Localizer
from wsol.prediction.config import PredictConfig, shard_of
from wsol.prediction.inputs import Pictures, collect, with_labels
from wsol.prediction.job import Plan, begin, finish
from wsol.prediction.local import create_predictor, predict_parts
from wsol.prediction.remote import working_in
from wsol.reports.config import ReportConfig
from wsol.reports.report import check_folder, report
from wsol.results.localization import About, Localization
from wsol.results.store import Record, count_statuses, finish_record
from wsol.visualization.plots import draw

log = logging.getLogger("wsol")


def predict(config: PredictConfig) -> Counter[str]:
    """Predict boxes for image files and write them.

    What an earlier call with the same options has left undone is done, and nothing else. Of a
    shard's pictures nothing but rows are written, unless those of all others are there.

    Args:
        config: the options.

    Returns:
        Number of pictures of each status: ``ok``, ``no_object``, ``error``.

    Raises:
        DataError: no image is found.
        ConfigError: the output folder cannot be written, another process writes to it, it holds
            another prediction, or an option does not fit.
        ErrorLimitError: more pictures than were allowed are in error.
    """
    pictures = collect(config.images)
    if config.labels_from is not None:
        pictures = with_labels(pictures, config.labels_from, config.class_map, config.split_folders)
    check_links(config.format, config.images, pictures)
    if pictures.are_remote:
        config = _without_pictures(config)
    with working_in(config) as (here, written), output_folder(here.out):
        if here.report:
            check_folder(here.out / "report")
        if here.engine == "ray" and here.precision == "auto":
            # Those choose that compute, not the machine that starts them.
            here = replace(here, precision=_ray().cluster_precision(here))
        return predict_pictures(here, pictures, create_predictor(here, pictures), written=written)


def predict_pictures(
    config: PredictConfig,
    pictures: Pictures,
    locate: Localizer,
    rounds: tuple[int, ...] = (),
    written: Callable[[], None] = lambda: None,
) -> Counter[str]:
    """Predict, and write to a folder here.

    Args:
        config: the options.
        pictures: all of them.
        locate: finds the boxes.
        rounds: numbers of pictures that came together, where more may come later.
        written: called when parts are there.
    """
    if pictures.labels is not None:
        pictures = replace(pictures, labels=pictures.labels.numbered(locate.classes))
    about = locate.about(pictures.root)
    # What stands in their way is said now, not after the last picture.
    create_writers(config.format, config.out, about)
    with begin(config, pictures, locate, rounds) as plan:
        if config.engine == "local":
            announce(locate.compute, config.cpu)
        else:
            kind = "GPUs" if config.gpus else "CPUs"
            log.info("computing on %s of a Ray cluster in %s", kind, locate.compute.precision)
        mine = shard_of(config.shard, plan.parts)
        missing = plan.missing(mine)
        done = count_statuses(config.out, sorted(set(mine) - set(missing)))
        is_local = config.engine == "local"
        predict_missing = predict_parts if is_local else _ray().predict_parts_on_ray
        predict_missing(config, plan, pictures, locate, missing, done["error"], written)
        if not plan.missing():
            finish(plan, lambda: _finish(config, plan, about))
        return count_statuses(config.out, mine)


def check_links(formats: Sequence[str], images: Sequence[Path], pictures: Pictures) -> None:
    """Refuse formats that link to pictures which are no files here.

    Args:
        formats: names of the formats.
        images: the images as they were given.
        pictures: all of them.

    Raises:
        ConfigError: there is one, and they are in tar files or elsewhere.
    """
    linking = LINKING.intersection(formats)
    if linking and (pictures.are_remote or any(map(is_sharded, images))):
        raise ConfigError(
            f"format is {', '.join(formats)}, but {' and '.join(sorted(linking))} links to "
            "the images, which are no files here: choose another, or unpack or copy them first"
        )


def _without_pictures(config: PredictConfig) -> PredictConfig:
    """Return options under which pictures are opened once, by those who predict."""
    if config.pictures:
        raise ConfigError("pictures is true, but the images are not here: leave out --pictures")
    if config.engine == "local" and config.workers:
        raise ConfigError(
            f"workers is {config.workers}, but connections do not survive that processes are "
            "forked: give --engine ray, or --workers 0"
        )
    if config.report:
        log.info("no report is made, as the images are not here")
    return replace(config, report=0)


def _ray() -> ModuleType:
    # It loads a library that nothing else here needs.
    from wsol.prediction import ray as predict_ray

    return predict_ray


def _finish(config: PredictConfig, plan: Plan, about: About) -> None:
    """Make everything else of the rows."""
    finish_record(config.out, about, plan.number, plan.parts)
    record = Record(config.out)
    convert(record, config.out, config.format, options=format_options(config))
    if config.pictures:
        for number, result in enumerate(record, 1):
            if result.error is None:
                _save_picture(config, about.path(result), number, result)
    if config.report:
        report(ReportConfig(config.out, pictures=config.report, max_pixels=config.max_pixels))


def _save_picture(config: PredictConfig, path: Path, number: int, result: Localization) -> None:
    folder = config.out / "pictures"
    folder.mkdir(exist_ok=True)
    image = load_image(path, max_pixels=config.max_pixels)
    # Not all names can be longer by a number.
    stem = Path(place(path.name)).stem
    draw(image, result.heat_map, result.boxes).save(folder / f"{number:06d}_{stem}.jpg")
