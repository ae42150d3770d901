"""Prediction from files to files."""

import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from wsol.data.images import find_images, load_image
from wsol.engine.config import PredictConfig
from wsol.engine.folder import make_folder
from wsol.engine.localize import Localizer
from wsol.engine.progress import Meter
from wsol.engine.report import report
from wsol.engine.report_config import ReportConfig
from wsol.errors import DataError, ErrorLimitError
from wsol.formats import check_format
from wsol.formats.convert import convert, create_writers
from wsol.formats.record import Record, RecordWriter
from wsol.localization import Localization
from wsol.localizers.reading import reading_options
from wsol.review.picture import draw
from wsol.review.report import check_folder

log = logging.getLogger("wsol")


def predict(config: PredictConfig) -> Counter[str]:
    """Predict boxes for image files and write them.

    Args:
        config: the options.

    Returns:
        Number of pictures of each status: ``ok``, ``no_object``, ``error``.

    Raises:
        DataError: no image is found.
        ConfigError: the output folder cannot be written, or an option does not fit.
        ErrorLimitError: more pictures cannot be read than ``max_errors``.
    """
    paths, ids = collect(config.images)
    make_folder(config.out)
    for name in config.format:
        check_format(name)
    if config.report:
        check_folder(config.out / "report")
    locate = Localizer(
        config.run,
        backbone=config.backbone,
        **reading_options(config),
        threshold=config.threshold,
        labels=config.labels,
        objects=config.objects,
        size=config.size,
        batch_size=config.batch_size,
        workers=config.workers,
        max_pixels=config.max_pixels,
        precision=config.precision,
        cpu=config.cpu,
    )
    base = config.images[0] if _is_folder(config.images) else Path()
    about = locate.about(base)
    # What stands in their way is said now, not after the last picture.
    create_writers(config.format, config.out, about)
    record = RecordWriter(config.out, about)
    statuses: Counter[str] = Counter()
    with Meter("predict", len(paths)) as meter:
        for number, (path, result) in enumerate(zip(paths, locate(paths, ids), strict=True), 1):
            record.add(result)
            statuses[result.status] += 1
            if result.error is not None:
                log.warning("%s", result.error)
                _check_errors(statuses["error"], config)
            elif config.pictures:
                _save_picture(config, path, number, result)
            meter.advance(1)
    record.close()
    convert(Record(config.out), config.out, config.format)
    if config.report:
        report(ReportConfig(config.out, pictures=config.report, max_pixels=config.max_pixels))
    return statuses


def _check_errors(count: int, config: PredictConfig) -> None:
    if config.max_errors is not None and count > config.max_errors:
        raise ErrorLimitError(
            f"{config.out}: stopped, as more than {config.max_errors} pictures could not be read: "
            "see the lines above, or give a higher --max-errors"
        )


def collect(inputs: Sequence[Path]) -> tuple[list[Path], list[str]]:
    """Return the image files among files and folders, and an id for each.

    Args:
        inputs: files, taken as they are, and folders, searched for images.

    Returns:
        Paths and ids. The ids are paths below the folder where one folder is given, otherwise
        the paths themselves.

    Raises:
        DataError: a path does not exist, is given twice, or no image is found.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Path(folder, "a.jpg").touch()
    ...     collect([Path(folder)])[1]
    ['a.jpg']
    """
    paths: list[Path] = []
    for given in inputs:
        if given.is_dir():
            paths += [given / name for name in find_images(given)]
        elif given.exists():
            paths.append(given)
        else:
            raise DataError(f"{given}: no such file or folder")
    if not paths:
        where = ", ".join(map(str, inputs)) or "nothing given"
        raise DataError(f"no images to predict: {where}")
    alone = _is_folder(inputs)
    ids = [(path.relative_to(inputs[0]) if alone else path).as_posix() for path in paths]
    twice, count = Counter(ids).most_common(1)[0]
    if count > 1:
        raise DataError(f"{twice}: given {count} times; give each image once")
    return paths, ids


def _is_folder(inputs: Sequence[Path]) -> bool:
    """Return whether ids are paths below the one folder that is given."""
    return len(inputs) == 1 and inputs[0].is_dir()


def _save_picture(config: PredictConfig, path: Path, number: int, result: Localization) -> None:
    folder = config.out / "pictures"
    folder.mkdir(exist_ok=True)
    image = load_image(path, max_pixels=config.max_pixels)
    draw(image, result.heat_map, result.boxes).save(folder / f"{number:06d}_{path.stem}.jpg")
