"""Prediction of boxes for image files, with formats, overlays and report."""

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from wsol._utils.files import output_folder
from wsol._utils.names import safe_path
from wsol.data.images import decode_image
from wsol.data.shards.reader import is_sharded
from wsol.errors import ConfigError
from wsol.formats import LINKING
from wsol.formats.config import format_options
from wsol.formats.convert import convert, create_writers
from wsol.inference.device import announce
from wsol.inference.localizer import Localizer
from wsol.maps.boxes import scale_boxes
from wsol.prediction.config import PredictConfig, shard_of
from wsol.prediction.inputs import ImageCollection, collect, with_labels
from wsol.prediction.job import PredictionJob, begin, finish
from wsol.prediction.local import create_predictor, predict_chunks
from wsol.prediction.ray import cluster_precision, predict_chunks_on_ray
from wsol.prediction.remote import working_in
from wsol.reports.config import ReportConfig
from wsol.reports.report import check_folder, report
from wsol.results.localization import PredictionInfo
from wsol.results.store import PredictionStore, count_statuses, finish_store
from wsol.visualization.plots import draw

OVERLAY_SIDE = 480
"""Longest side of an overlay in pixels."""

log = logging.getLogger("wsol")


def predict(config: PredictConfig) -> Counter[str]:
    """Predict boxes for image files and write them.

    A call with the same options resumes a stopped prediction. A shard only writes the rows of its
    images; formats, overlays and report are written by the shard that finishes last.

    Args:
        config: options of the prediction.

    Returns:
        Number of images by status: ``ok``, ``no_object``, ``error``.

    Raises:
        DataError: no image is found.
        ConfigError: the output folder is not writable, another process writes to it, it contains
            another prediction, or an option is not valid.
        ErrorLimitError: more than ``max_errors`` images are unreadable.
    """
    images = collect(config.images)
    if config.labels_from is not None:
        images = with_labels(images, config.labels_from, config.class_map, config.split_folders)
    check_links(config.format, config.images, images)
    if images.are_remote:
        config = _without_images(config)
    with working_in(config) as (here, written), output_folder(here.out):
        if here.report:
            check_folder(here.out / "report")
        if here.engine == "ray" and here.precision == "auto":
            # The precision depends on the machines of the cluster, not on this one.
            here = replace(here, precision=cluster_precision(here))
        return predict_images(here, images, create_predictor(here, images), written=written)


def predict_images(
    config: PredictConfig,
    images: ImageCollection,
    locate: Localizer,
    rounds: tuple[int, ...] = (),
    written: Callable[[], None] = lambda: None,
) -> Counter[str]:
    """Predict boxes and write them to a local folder; see ``begin`` and ``predict_chunks``."""
    if images.labels is not None:
        images = replace(images, labels=images.labels.numbered(locate.classes))
    info = locate.info(images.root)
    # Creating the writers raises their errors now, not after the last image.
    create_writers(config.format, config.out, info)
    with begin(config, images, locate, rounds) as job:
        if config.engine == "local":
            announce(locate.compute, config.device)
        else:
            kind = "GPUs" if config.gpus else "CPUs"
            log.info("computing on %s of a Ray cluster in %s", kind, locate.compute.precision)
        mine = shard_of(config.shard, job.chunks)
        missing = job.missing(mine)
        done = count_statuses(config.out, sorted(set(mine) - set(missing)))
        predict_missing = predict_chunks if config.engine == "local" else predict_chunks_on_ray
        predict_missing(config, job, images, locate, missing, done["error"], written)
        if not job.missing():
            finish(job, lambda: _finish(config, job, info))
        return count_statuses(config.out, mine)


def check_links(
    formats: Sequence[str], images: Sequence[Path], collection: ImageCollection
) -> None:
    """Raise a ConfigError if a format links to images that are in tar files or remote."""
    linking = LINKING.intersection(formats)
    if linking and (collection.are_remote or any(map(is_sharded, images))):
        raise ConfigError(
            f"format: {' and '.join(sorted(linking))} links to the images, which are not local "
            "files; use another format, or unpack or download the images first"
        )


def _without_images(config: PredictConfig) -> PredictConfig:
    """Return options for remote images, which are only opened for the prediction itself."""
    if config.save_overlays:
        raise ConfigError(
            "save_overlays: not supported for remote images; leave out --save_overlays"
        )
    if config.engine == "local" and config.num_workers:
        raise ConfigError(
            f"num_workers: {config.num_workers} worker processes cannot share a connection to "
            "remote images; use --engine ray, or --num_workers 0"
        )
    if config.report:
        log.info("writing no report, as the images are remote")
    return replace(config, report=0)


def _finish(config: PredictConfig, job: PredictionJob, info: PredictionInfo) -> None:
    """Write formats, overlays and report from the rows of all chunks."""
    finish_store(config.out, info, job.number, job.chunks)
    store = PredictionStore(config.out)
    convert(store, config.out, config.format, options=format_options(config))
    if config.save_overlays:
        _save_overlays(config, store)
    if config.report:
        report(ReportConfig(config.out, max_images=config.report, max_pixels=config.max_pixels))


def _save_overlays(config: PredictConfig, store: PredictionStore) -> None:
    folder = config.out / "overlays"
    for number, result in enumerate(store, 1):
        if result.error is not None:
            continue
        folder.mkdir(exist_ok=True)
        path = store.info.path(result)
        # Not the decoded image of the prediction, whose scale the boxes depend on.
        image, size = decode_image(path, config.max_pixels, least_side=OVERLAY_SIDE)
        boxes = scale_boxes(result.boxes, size, image.size)
        # Names may be too long to append a number.
        stem = Path(safe_path(path.name)).stem
        overlay = draw(image, result.heat_map, boxes, side=OVERLAY_SIDE)
        overlay.save(folder / f"{number:06d}_{stem}.jpg")
