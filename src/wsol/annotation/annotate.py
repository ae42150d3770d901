"""Annotation of labeled images with boxes that a detector can be trained on."""

import logging
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from wsol._utils.files import NAME, FolderLock, output_folder, write_atomically
from wsol.annotation.config import AnnotateConfig
from wsol.annotation.learning import Learning
from wsol.annotation.stored_features import StoredFeatures
from wsol.data.file_index import Names
from wsol.data.labels import GivenLabels
from wsol.data.names import some
from wsol.data.sources import ImageSource
from wsol.errors import ConfigError
from wsol.formats import PredictionInfo
from wsol.formats.convert import create_writers
from wsol.inference.fitting import Inputs
from wsol.inference.localizer import Localizer
from wsol.models import Network
from wsol.prediction.config import PredictConfig
from wsol.prediction.inputs import ImageCollection, collect, with_labels
from wsol.prediction.local import create_predictor
from wsol.prediction.predict import check_links, predict_images
from wsol.reports.report import check_folder
from wsol.runs.config import check_same, resolved, save_config
from wsol.types import BUNDLED_BACKBONE

SCHEMA = pa.schema([("image", pa.binary()), ("labels", pa.list_(pa.binary()))])
"""Schema of the files of rounds: one row per image, with its name and class names as bytes."""


def take_rounds(folder: Path, images: ImageCollection) -> tuple[ImageCollection, tuple[int, ...]]:
    """Return the images ordered by round, and the number of images of each round.

    New images become a new round, which is written to a separate file of the folder. Classes of
    later rounds follow those of earlier ones.

    Raises:
        ConfigError: an image of an earlier round is missing or has another label, or a file cannot
            be read.
    """
    labels = images.labels or GivenLabels((), ((),) * len(images))
    now = {
        name: [labels.classes[label] for label in own]
        for name, own in zip(images.names, labels, strict=True)
    }
    folder.mkdir(exist_ok=True)
    found: list[list[tuple[str, list[str]]]] = []
    while (file := folder / f"round-{len(found):06d}.parquet").exists():
        found.append(_read(file))
    saved = dict(row for rows in found for row in rows)
    instead = "restore them, use another --out, or --overwrite to restart"
    if missing := [name for name in saved if name not in now]:
        raise ConfigError(
            f"{folder.parent}: {len(missing)} images are missing ({some(missing)}); {instead}"
        )
    if changed := [name for name, own in saved.items() if own != now[name]]:
        raise ConfigError(
            f"{folder.parent}: {len(changed)} images have other labels than before "
            f"({some(changed)}); {instead}"
        )
    if new := [(name, own) for name, own in now.items() if name not in saved]:
        if found:
            log.info("found %d new images, in addition to %d", len(new), len(saved))
        _write(file, new)
        found.append(new)
    classes: dict[str, int] = {}
    for rows in found:
        for name in sorted({name for _, own in rows for name in own}):
            classes.setdefault(name, len(classes))
    rows = [row for of_round in found for row in of_round]
    return replace(
        images,
        names=Names(name for name, _ in rows),
        labels=GivenLabels(tuple(classes), ([classes[each] for each in own] for _, own in rows)),
    ), tuple(map(len, found))


def _read(file: Path) -> list[tuple[str, list[str]]]:
    try:
        table = pq.read_table(file)
    except (OSError, pa.ArrowException) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(
            f"{file}: cannot be read: {reason}; use another --out, or --overwrite to restart"
        ) from error
    return [
        (os.fsdecode(row["image"]), list(map(os.fsdecode, row["labels"])))
        for row in table.to_pylist()
    ]


def _write(file: Path, rows: list[tuple[str, list[str]]]) -> None:
    content = [
        {"image": os.fsencode(name), "labels": list(map(os.fsencode, own))} for name, own in rows
    ]
    table = pa.Table.from_pylist(content, SCHEMA)
    write_atomically(file, lambda part: pq.write_table(table, part))


# Rows are removed first, so that the rest of a killed removal does not look finished.
FOLDERS = ("localizations", "run", "features", "rounds")
"""Folders of an annotation, apart from formats and report, which are replaced as a whole."""

OPTIONS = "annotate.yaml"

FREE = {
    *("images", "out", "labels_from", "class_map", "split_folders", "format", "val_fraction"),
    *("copy_images", "report", "num_workers", "device", "overwrite", "max_errors"),
}
"""Options that may change when an annotation resumes; their effects are compared separately."""

log = logging.getLogger("wsol")


class Annotated(NamedTuple):
    """Result of an annotation.

    Attributes:
        folder: output folder.
        statuses: number of images by status, ``ok``, ``no_object`` or ``error``.
        new: number of images that are new since the last call; all images in the first call.
    """

    folder: Path
    statuses: Counter[str]
    new: int


def annotate(config: AnnotateConfig) -> Annotated:
    """Localize objects in labeled images, and write boxes that a detector can be trained on.

    A classifier is fitted to the labels, on features that are computed once and stored. A localizer
    computes score maps from it; if that makes boxes more consistent, a head is distilled from these
    maps. The same call resumes a stopped annotation, and adds new images; the boxes of the other
    images do not change.

    Args:
        config: options of the annotation.

    Returns:
        The output folder, and the number of images by status.

    Raises:
        DataError: no image is found, or the labels cannot be used.
        ConfigError: the output folder is not writable, another process writes to it, or an option
            is not valid or differs from the stopped annotation.
        ErrorLimitError: more than ``max_errors`` images are unreadable.
    """
    images = with_labels(
        collect([config.images]), config.labels_from, config.class_map, config.split_folders
    )
    with output_folder(config.out), FolderLock(config.out, f"{NAME}-annotate"):
        _claim(config)
        _check_ways(config, images)
        rounds_before = len(list((config.out / "rounds").glob("round-*")))
        images, rounds = take_rounds(config.out / "rounds", images)
        first = _with_own_classes(images.select(slice(rounds[0])))
        stored = _stored(config, rounds[0])
        run = _distilled_run(config, first, stored)
        options = _prediction(config, run)
        locate = create_predictor(options, first, partial(_FromFeatures, stored))
        _add_classes(locate, images)
        statuses = predict_images(options, images, locate, rounds)
    return Annotated(config.out, statuses, rounds[-1] if len(rounds) > rounds_before else 0)


def _with_own_classes(images: ImageCollection) -> ImageCollection:
    """Return images without the classes that only occur in later rounds, which are last."""
    labels = images.labels
    if labels is None:
        return images
    number = 1 + max((label for own in labels for label in own), default=-1)
    return replace(images, labels=GivenLabels(labels.classes[:number], labels))


def _claim(config: AnnotateConfig) -> None:
    """Save the options to the output folder, or compare them with the saved ones."""
    saved = config.out / OPTIONS
    if config.overwrite and saved.exists():
        for name in FOLDERS:
            shutil.rmtree(config.out / name, ignore_errors=True)
        saved.unlink()
    if saved.exists():
        check_same(saved, config, FREE)
        return
    for name in FOLDERS:
        if (config.out / name).exists():
            raise ConfigError(
                f"{config.out}: contains {name}/ of another command; use another --out"
            )
    save_config(saved, resolved(replace(config, overwrite=False)))


def _check_ways(config: AnnotateConfig, images: ImageCollection) -> None:
    """Raise an error now for anything that could not be written at the end."""
    if config.report:
        check_folder(config.out / "report")
    check_links(config.format, [config.images], images)
    classes = images.labels.classes if images.labels else ()
    create_writers(config.format, config.out, PredictionInfo(classes, images.root, threshold=0.5))


def _stored(config: AnnotateConfig, number: int) -> StoredFeatures:
    """Return the files of features of the training images, spread evenly over all images."""
    count = min(number, config.max_images)
    indices = [index * number // count for index in range(count)]
    return StoredFeatures(config.out / "features", config.image_size, indices, config.chunk_size)


def _prediction(config: AnnotateConfig, run: Path | None) -> PredictConfig:
    """Return the options of the final prediction."""
    backbone = config.backbone if run is None else BUNDLED_BACKBONE
    return PredictConfig.of(
        config, images=[config.images], run=run, backbone=backbone, overwrite=False
    )


class _FromFeatures(Localizer):
    """Localizer that uses stored features, where available, instead of images.

    The features are those of the first images, in the same chunks as the prediction.
    """

    def __init__(self, stored: StoredFeatures, model: Path | None, **options: Any) -> None:
        """Store the features."""
        super().__init__(model, **options)
        self.stored = stored

    def _inputs(self, paths: Sequence[ImageSource], chunks: Iterable[range]) -> Iterator[Inputs]:
        for chunk in chunks:
            number = self.stored.part_of(chunk)
            if number is None or not isinstance(self.model, Network):
                yield from super()._inputs(paths, [chunk])
            else:
                yield self.stored.read(number, self.model, self.preprocessing)


def _add_classes(locate: Localizer, images: ImageCollection) -> None:
    """Add the classes of later rounds, which its network was not trained on, to a localizer."""
    known = set(locate.classes)
    classes = images.labels.classes if images.labels else ()
    new = tuple(name for name in classes if name not in known)
    if new and locate.num_known:
        log.warning(
            "the classifier was not trained on the new classes %s; boxes of their images are those "
            "of the predicted class; use --overwrite to train on them",
            ", ".join(new),
        )
    locate.classes += new


def _distilled_run(
    config: AnnotateConfig, first: ImageCollection, stored: StoredFeatures
) -> Path | None:
    """Return the run that was trained on the labels of the first round; None with one class."""
    assert first.labels is not None
    run = config.out / "run"
    if len(first.labels.classes) < 2:
        log.info("only one class: no training; boxes are those of the ImageNet network")
        return None
    if not (run / "model.safetensors").exists():
        run.mkdir(exist_ok=True)
        Learning(config, first, stored).write(run)
    return run
