"""Which localizer, size and normalization finds the objects of a data set best."""

import csv
import io
import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Literal, NamedTuple

import torch
from PIL import Image

from wsol.choices import Normalization
from wsol.data.batches import split_batches
from wsol.data.images import load_image
from wsol.data.open import open_data
from wsol.data.samples import Samples
from wsol.data.transforms import EvalTransform
from wsol.engine.compare_config import VAL_SHARE, CompareConfig
from wsol.engine.config import Precision
from wsol.engine.device import Compute, announce, choose_compute
from wsol.engine.evaluate import (
    at_own_thresholds,
    counting_errors,
    judge_located,
    locate_split,
)
from wsol.engine.fit import Look, fit_localizer
from wsol.engine.folder import output_folder
from wsol.engine.localize import Localizer
from wsol.engine.opened import prepare_to_localize
from wsol.engine.progress import Meter
from wsol.engine.protocol import Fair
from wsol.engine.run import load_run, save_run
from wsol.engine.run_data import open_run_data
from wsol.errors import DataError
from wsol.files import write_atomically, write_json
from wsol.in_order import in_order
from wsol.localizers import ScoreMaps
from wsol.localizers.reading import Reading
from wsol.maps.curves import num_processors
from wsol.metrics import LocalizationAccuracy
from wsol.models import Network
from wsol.models.create import check_size, create_imagenet_network
from wsol.review.picture import draw, grid

log = logging.getLogger("wsol")

Metrics = dict[Normalization | Literal["auto"], LocalizationAccuracy]


@dataclass(frozen=True)
class Row:
    """One way to read score maps, and how well it does.

    Attributes:
        localizer: name.
        affinity: module whose features the maps follow, ``auto`` or ``none``.
        size: side of the network's input in pixels.
        normalization: how score maps are scaled.
        val_max_box_acc_v2: in percent; the highest wins.
        threshold: best on val, for boxes of one threshold.
        max_box_acc_v2: on test, in percent.
        gt_known: on test, at the threshold of val, in percent; None without a run, where maps are
            of the class that the network prefers.
        box_acc_50: the same of either: images whose box is right at IoU 50, in percent.
        auto_box_acc_50: the same at each map's own threshold, which needs no boxes.
        images_per_second: from file to curve, over both splits.
        num_error: pictures of both splits that could not be read; they count as wrong.
        val_num_with_ground_truth: images of val with a box.
        num_with_ground_truth: images of test with a box.
        precision: that the network computed in.
        is_winner: whether it is the best on val.
    """

    localizer: str
    affinity: str
    size: int
    normalization: Normalization
    val_max_box_acc_v2: float
    threshold: float
    max_box_acc_v2: float
    gt_known: float | None
    box_acc_50: float
    auto_box_acc_50: float
    images_per_second: float
    num_error: int = 0
    precision: Precision = "fp32"
    is_winner: bool = False
    val_num_with_ground_truth: int = 0
    num_with_ground_truth: int = 0


class Setup(NamedTuple):
    """What all ways to read have in common."""

    config: CompareConfig
    network: Network
    compute: Compute
    splits: dict[str, Samples]


def compare(config: CompareConfig) -> list[Row]:
    """Compare ways to read score maps on a data set: chosen on val, reported on test.

    Args:
        config: the options.

    Returns:
        The rows, the best on val first.

    Raises:
        DataError: val or test is missing or has no boxes.
        RunError: not a finished run.
        ConfigError: no such localizer, or the folder cannot be written.
    """
    network, splits, of_run = _open(config)
    for name in ("val", "test"):
        if name not in splits or not splits[name].has_boxes:
            raise DataError(
                f"{config.data}: the {name} split has no boxes, and without them nothing can be "
                "compared: give --boxes with a few of its images"
            )
    with output_folder(config.out):
        return _compare(config, network, splits, of_run)


def _compare(
    config: CompareConfig,
    network: Network,
    splits: dict[str, Samples],
    of_run: Precision | None,
) -> list[Row]:
    compute = choose_compute(config.precision, config.cpu, of_run)
    announce(compute, config.cpu)
    prepare_to_localize(network, config.sizes[0])
    network.to(compute.device)
    network.to(memory_format=torch.channels_last)
    setup = Setup(config, network, compute, splits)
    rows = [
        row
        for size in config.sizes
        for name in config.localizers
        for affinity in config.affinities
        for row in _measure(setup, name, affinity, size)
    ]
    # Of equals the faster one wins.
    rows.sort(key=lambda row: (-row.val_max_box_acc_v2, -row.images_per_second))
    rows[0] = replace(rows[0], is_winner=True)
    _write(config, rows)
    if config.pictures:
        _draw(setup, rows).save(config.out / "compare.jpg", quality=88)
    if config.save:
        _save_winner(setup, rows[0])
    return rows


def _open(config: CompareConfig) -> tuple[Network, dict[str, Samples], Precision | None]:
    """Return the network, the data with classes numbered as a run has them, and its precision."""
    if config.run is not None:
        network, info = load_run(config.run)
        splits = open_run_data(config, info, val_share=config.val_share, seed=config.seed)
        return network, splits, info.precision
    splits = open_data(
        config.data,
        boxes=config.boxes,
        splits=config.splits,
        labels=config.labels,
        val_share=VAL_SHARE if config.val_share is None else config.val_share,
        seed=config.seed or 0,
        on_bad=config.on_bad_annotation,
        split_folders=config.split_folders,
    )
    return create_imagenet_network(config.backbone), splits, None


def _measure(setup: Setup, name: str, affinity: str, size: int) -> Iterator[Row]:
    """Yield a row for each normalization of a localizer's maps at one size."""
    config = setup.config
    check_size(setup.network, size)
    reading = _reading(config, name, affinity)
    localizer = reading.create(setup.network)
    _fit(setup, localizer, size)
    protocols: dict[Normalization | Literal["auto"], Fair] = {
        how: Fair(size, how) for how in config.normalizations
    }
    protocols["auto"] = at_own_thresholds(reading, size)
    begin, images = time.perf_counter(), 0
    found: dict[str, Metrics] = {}
    for split in ("val", "test"):
        samples = setup.splits[split]
        found[split] = _judge_all(setup, samples, localizer, protocols, f"{name} {size} {split}")
        images += len(samples)
    speed = images / (time.perf_counter() - begin)
    auto = found["test"]["auto"].compute()
    for normalization in config.normalizations:
        val, test = (found[split][normalization] for split in ("val", "test"))
        threshold = val.best_threshold() or 0.0
        chosen, figures = val.at(threshold), test.at(threshold)
        right = round(figures["gt_known"] or 0.0, 2)
        row = Row(
            localizer=name,
            affinity=affinity,
            size=size,
            normalization=normalization,
            val_max_box_acc_v2=round(chosen["max_box_acc_v2"] or 0.0, 2),
            threshold=threshold,
            max_box_acc_v2=round(figures["max_box_acc_v2"] or 0.0, 2),
            gt_known=right if config.run is not None else None,
            box_acc_50=right,
            auto_box_acc_50=round(auto["gt_known"] or 0.0, 2),
            images_per_second=round(speed, 2),
            num_error=sum(int(each.num_errors) for each in (val, test)),
            val_num_with_ground_truth=int(val.num_boxed),
            num_with_ground_truth=int(test.num_boxed),
            precision=setup.compute.precision,
        )
        log.info(
            "%s, affinity %s, %d pixels, %s: val %.2f",
            name,
            affinity,
            size,
            normalization,
            row.val_max_box_acc_v2,
        )
        yield row


def _reading(config: CompareConfig, name: str, affinity: str) -> Reading:
    return Reading(name, config.tap, "" if affinity == "none" else affinity, config.flip)


def _fit(setup: Setup, localizer: ScoreMaps, size: int) -> None:
    config, network = setup.config, setup.network
    look = Look(
        EvalTransform(size),
        network.mean,
        network.std,
        setup.compute,
        config.batch_size,
        config.workers,
    )
    fit_localizer(localizer, setup.splits.get("train", setup.splits["val"]).paths(), look)


def _judge_all(
    setup: Setup,
    samples: Samples,
    localizer: ScoreMaps,
    protocols: Mapping[Normalization | Literal["auto"], Fair],
    title: str,
) -> Metrics:
    """Return the counts of a split by each protocol, from one pass."""
    config = setup.config
    metrics = {how: LocalizationAccuracy(each.thresholds) for how, each in protocols.items()}
    located = locate_split(
        samples,
        setup.network,
        localizer,
        setup.compute,
        next(iter(protocols.values())).transform,
        split_batches(range(len(samples)), config.batch_size),
        config.workers,
        knows_classes=config.run is not None,
    )
    located = counting_errors(located, metrics.values())
    judge = partial(judge_located, samples, tuple(protocols.values()))
    with Meter(title, len(samples)) as meter:
        for judged in in_order(judge, located, num_processors(), ahead=config.batch_size):
            for metric, (rank, curves) in zip(metrics.values(), judged, strict=True):
                metric.update(rank, curves)
            meter.advance(1)
    return metrics


def _write(config: CompareConfig, rows: Iterable[Row]) -> None:
    table = [asdict(row) for row in rows]
    write_json(config.out / "compare.json", table)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(table[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    write_atomically(
        config.out / "compare.csv", lambda part: part.write_text(text.getvalue(), encoding="utf-8")
    )


def _draw(setup: Setup, rows: Iterable[Row]) -> Image.Image:
    """Return the same test pictures read by the best row of each localizer, best first."""
    best: dict[str, Row] = {}
    for row in rows:
        best.setdefault(row.localizer, row)
    test = setup.splits["test"]
    count = min(setup.config.pictures, len(test))
    chosen = test.select([index * len(test) // count for index in range(count)])
    columns = []
    for row in best.values():
        locate = Localizer(
            setup.network,
            localizer=row.localizer,
            tap=setup.config.tap,
            affinity="" if row.affinity == "none" else row.affinity,
            flip=setup.config.flip,
            normalization=row.normalization,
            threshold=row.threshold,
            size=row.size,
            precision=setup.compute.precision,
            cpu=setup.config.cpu,
        )
        _fit(setup, locate.localizer, row.size)
        locate.is_fitted = True
        columns.append(list(locate(chosen.paths())))
    sheet = []
    for index, path in enumerate(chosen.paths()):
        truth = None if chosen.boxes is None else chosen.boxes[index]
        good = [column[index] for column in columns]
        if all(result.error is None for result in good):
            image = load_image(path)
            sheet.append([draw(image, r.heat_map, r.boxes, truth, side=240) for r in good])
    return grid(sheet) if sheet else Image.new("RGB", (1, 1))


def _save_winner(setup: Setup, winner: Row) -> None:
    """Make the winner the run's own reading, with what its localizer has learnt."""
    run = setup.config.run
    if run is None:
        return
    network, info = load_run(run)
    reading = _reading(setup.config, winner.localizer, winner.affinity)
    reading = replace(reading, normalization=winner.normalization)
    localizer = reading.create(setup.network)
    _fit(setup, localizer, winner.size)
    info = replace(
        info,
        **asdict(reading),
        size=winner.size,
        threshold=winner.threshold,
        threshold_from="val",
        precision=setup.compute.precision,
    )
    save_run(run, network, info, localizer.state())
