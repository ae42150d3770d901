"""Comparison of localizers, image sizes and normalizations on a data set."""

import csv
import io
import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import product
from typing import Literal, NamedTuple

import torch
from PIL import Image

from wsol._utils.files import output_folder, write_atomically, write_json
from wsol.data.images import load_image
from wsol.data.open import open_data
from wsol.data.samples import Samples
from wsol.data.transforms import EvalTransform
from wsol.errors import DataError
from wsol.evaluation.config import VAL_SHARE, CompareConfig
from wsol.evaluation.evaluate import at_own_thresholds, evaluate_split
from wsol.evaluation.protocols import WSOLEval
from wsol.evaluation.pseudo_boxes import MAX_IMAGES, add_pseudo_boxes, choose_reference
from wsol.inference.device import Compute, announce, choose_compute
from wsol.inference.fitting import Preprocessing, fit_localizer
from wsol.inference.loading import prepare_to_localize
from wsol.inference.localizer import Localizer
from wsol.localizers import ScoreMaps
from wsol.localizers.config import LocalizerConfig
from wsol.methods.network import create_pretrained_network
from wsol.metrics import LocalizationAccuracy
from wsol.metrics.functional import IOU_LEVELS
from wsol.models import Network
from wsol.models.create import check_size
from wsol.runs.dataset import open_run_data
from wsol.runs.run import load_run, save_run
from wsol.types import Normalization, Precision, Reference
from wsol.visualization.plots import draw, grid

log = logging.getLogger("wsol")

Scaling = Normalization | Literal["auto"]
"""Normalization of maps for one threshold for all, or ``auto`` with a threshold per map."""


@dataclass(frozen=True)
class Row:
    """Localizer options and their results.

    Attributes:
        localizer: localizer name.
        affinity: module whose features refine the maps, ``auto`` or ``none``.
        image_size: side of the network's input in pixels.
        normalization: normalization of score maps.
        val_max_box_acc_v2: MaxBoxAccV2 on val in percent; None without ground truth on val.
        val_agreement: MaxBoxAccV2 on val against pseudo-boxes, in percent; None with
            ``ground_truth``.
        threshold: best threshold on val, for boxes at one threshold.
        threshold_from: boxes used to choose it, ``val`` (ground truth) or ``pseudo_boxes``.
        max_box_acc_v2: MaxBoxAccV2 on test in percent; this and the next two are None without
            ground truth.
        gt_known: GT-known Loc on test at the threshold, in percent; None without a run, as maps are
            then of the predicted class.
        box_acc_50: images of test with a correct box at IoU 50, in percent, with or without a run.
        auto_box_acc_50: the same with a threshold per map, which needs no boxes.
        gt_threshold: best threshold by ground truth on val, if rows are ranked by pseudo-boxes.
        gt_box_acc_50: ``box_acc_50`` at that threshold.
        images_per_second: throughput from file to curve, over both splits.
        num_error: unreadable images of both splits; they count as incorrect.
        val_num_with_ground_truth: images of val with a box.
        num_with_ground_truth: images of test with a box.
        num_with_pseudo_box: images with pseudo-boxes used for the ranking.
        precision: precision of the network.
        is_winner: whether the row is the best on val, by ground truth or by pseudo-boxes.
        is_gt_winner: whether the row is the best on val by ground truth.
    """

    localizer: str
    affinity: str
    image_size: int
    normalization: Normalization
    val_max_box_acc_v2: float | None
    val_agreement: float | None
    threshold: float
    threshold_from: Literal["val", "pseudo_boxes"]
    max_box_acc_v2: float | None
    gt_known: float | None
    box_acc_50: float | None
    auto_box_acc_50: float | None
    gt_threshold: float | None
    gt_box_acc_50: float | None
    images_per_second: float
    num_error: int = 0
    precision: Precision = "fp32"
    is_winner: bool = False
    is_gt_winner: bool = False
    val_num_with_ground_truth: int = 0
    num_with_ground_truth: int = 0
    num_with_pseudo_box: int = 0


class Setup(NamedTuple):
    """Settings shared by all candidates."""

    config: CompareConfig
    network: Network
    compute: Compute
    splits: Mapping[str, Samples]
    references: dict[Reference, Samples]
    """Images to rank candidates on, with reference boxes; the first reference ranks."""


def compare(config: CompareConfig) -> list[Row]:
    """Compare localizers on a data set: selected on val, reported on test.

    They are ranked by ground truth, or without it by agreement with pseudo-boxes, see
    ``wsol.evaluation.pseudo_boxes``.

    Args:
        config: comparison options.

    Returns:
        The rows, the best on val first.

    Raises:
        DataError: ground truth is requested and val has none, or there is no image to select on.
        RunError: not a finished run.
        ConfigError: a localizer does not exist, or the folder cannot be written.
    """
    network, splits, of_run = _open(config)
    reference = choose_reference(config.select_by, splits, config.data)
    if reference == "pseudo_boxes":
        splits["val"] = _images_to_choose_on(config, splits)
    with output_folder(config.out):
        return _compare(config, network, splits, of_run, reference)


def _images_to_choose_on(config: CompareConfig, splits: Mapping[str, Samples]) -> Samples:
    """Return val, or without a run and ground truth the unused training images."""
    val = splits.get("val")
    if config.run is None and not (val is not None and val.has_boxes):
        val = splits.get("train", val)
    if val is None or len(val) == 0:
        raise DataError(f"{config.data}: no train or val split to select on; add images to one")
    if val.has_boxes:
        return val
    return val.evenly(MAX_IMAGES)


def _compare(
    config: CompareConfig,
    network: Network,
    splits: Mapping[str, Samples],
    of_run: Precision | None,
    reference: Reference,
) -> list[Row]:
    compute = choose_compute(config.precision, config.device, of_run)
    announce(compute, config.device)
    prepare_to_localize(network, config.image_sizes[0])
    network.to(compute.device)
    network.to(memory_format=torch.channels_last)
    references: dict[Reference, Samples] = {}
    if reference == "pseudo_boxes":
        references[reference] = add_pseudo_boxes(
            splits["val"],
            batch_size=config.batch_size,
            num_workers=config.num_workers,
            precision=config.precision,
            device=config.device,
        )
    if splits["val"].has_boxes:
        references["ground_truth"] = splits["val"]
    setup = Setup(config, network, compute, splits, references)
    rows = [
        row
        for size in config.image_sizes
        for name in config.localizers
        for affinity in config.affinities
        for row in _measure(setup, name, affinity, size)
    ]
    rows = _ranked(rows)
    _write(config, rows)
    if config.num_overlays:
        _draw(setup, rows).save(config.out / "compare.jpg", quality=88)
    if config.save:
        _save_winner(setup, rows[0])
    return rows


def _ranked(rows: Iterable[Row]) -> list[Row]:
    """Return the rows, best first; ties are resolved by speed."""

    def by(value: float | None, row: Row) -> tuple[float, float]:
        return -(value or 0.0), -row.images_per_second

    by_ground_truth = sorted(rows, key=lambda row: by(row.val_max_box_acc_v2, row))
    if by_ground_truth[0].val_max_box_acc_v2 is not None:
        by_ground_truth[0] = replace(by_ground_truth[0], is_gt_winner=True)
    ranked = by_ground_truth
    if by_ground_truth[0].val_agreement is not None:
        ranked = sorted(by_ground_truth, key=lambda row: by(row.val_agreement, row))
    return [replace(ranked[0], is_winner=True), *ranked[1:]]


def _open(config: CompareConfig) -> tuple[Network, dict[str, Samples], Precision | None]:
    """Return the network, the data with the class indices of the run, and the run's precision."""
    if config.run is not None:
        network, info = load_run(config.run)
        splits = open_run_data(config, info, val_fraction=config.val_fraction, seed=config.seed)
        return network, splits, info.precision
    splits = open_data(
        config.data,
        boxes=config.boxes,
        splits=config.splits,
        labels=config.labels,
        val_fraction=VAL_SHARE if config.val_fraction is None else config.val_fraction,
        seed=config.seed or 0,
        on_bad=config.on_bad_annotation,
        split_folders=config.split_folders,
    )
    return create_pretrained_network(config.backbone), splits, None


def _measure(setup: Setup, name: str, affinity: str, size: int) -> Iterator[Row]:
    """Yield a row for each normalization of a localizer's maps at one size."""
    config = setup.config
    check_size(setup.network, size)
    localizer_config = _localizer_config(config, name, affinity)
    localizer = localizer_config.create(setup.network)
    preprocessing = _fit(setup, localizer, size)
    protocols: dict[Scaling, WSOLEval] = {how: WSOLEval(size, how) for how in config.normalizations}
    protocols["auto"] = at_own_thresholds(localizer_config, size)
    found: dict[tuple[str, Reference, Scaling], LocalizationAccuracy] = {}
    begin, images = time.perf_counter(), 0
    reported: dict[Reference, Samples] = {}
    if "test" in setup.splits and setup.splits["test"].has_boxes:
        reported["ground_truth"] = setup.splits["test"]
    for split, references in (("val", setup.references), ("test", reported)):
        if not references:
            continue
        metrics = evaluate_split(
            list(references.values()),
            localizer,
            preprocessing,
            list(protocols.values()),
            knows_classes=config.run is not None,
            title=f"{name} {size} {split}",
        )
        found |= zip(product([split], references, protocols), metrics, strict=True)
        images += max(map(len, references.values()))
    speed = images / (time.perf_counter() - begin)
    auto = found.get(("test", "ground_truth", "auto"))
    for normalization in config.normalizations:
        first = found["val", next(iter(setup.references)), normalization]
        val = found.get(("val", "ground_truth", normalization))
        pseudo = found.get(("val", "pseudo_boxes", normalization))
        test = found.get(("test", "ground_truth", normalization))
        # Boxes that are all close to the pseudo-boxes differ only at the highest IoU.
        threshold = first.best_threshold((50,) if pseudo is None else IOU_LEVELS) or 0.0
        right = _percent(test, threshold, "gt_known")
        gt_threshold = None if val is None or pseudo is None else val.best_threshold()
        row = Row(
            localizer=name,
            affinity=affinity,
            image_size=size,
            normalization=normalization,
            val_max_box_acc_v2=_percent(val, threshold, "max_box_acc_v2"),
            val_agreement=_percent(pseudo, threshold, "max_box_acc_v2"),
            threshold=threshold,
            threshold_from="val" if pseudo is None else "pseudo_boxes",
            max_box_acc_v2=_percent(test, threshold, "max_box_acc_v2"),
            gt_known=right if config.run is not None else None,
            box_acc_50=right,
            auto_box_acc_50=_percent(auto, 0.0, "gt_known"),
            gt_threshold=gt_threshold,
            gt_box_acc_50=_percent(test, gt_threshold, "gt_known"),
            images_per_second=round(speed, 2),
            num_error=sum(int(each.num_errors) for each in (first, test) if each is not None),
            val_num_with_ground_truth=0 if val is None else int(val.num_boxed),
            num_with_ground_truth=0 if test is None else int(test.num_boxed),
            num_with_pseudo_box=0 if pseudo is None else int(pseudo.num_boxed),
            precision=setup.compute.precision,
        )
        log.info(
            "%s, affinity %s, %d pixels, %s: val %.2f",
            name,
            affinity,
            size,
            normalization,
            first.at(threshold)["max_box_acc_v2"] or 0.0,
        )
        yield row


def _percent(
    metric: LocalizationAccuracy | None, threshold: float | None, key: str
) -> float | None:
    """Return a metric at a threshold, rounded; None if it is undefined."""
    if metric is None or threshold is None:
        return None
    return round(metric.at(threshold)[key] or 0.0, 2)


def _localizer_config(config: CompareConfig, name: str, affinity: str) -> LocalizerConfig:
    return LocalizerConfig(name, config.layers, "" if affinity == "none" else affinity, config.flip)


def _fit(setup: Setup, localizer: ScoreMaps, size: int) -> Preprocessing:
    """Fit a localizer to training images, and return their preprocessing."""
    config, network = setup.config, setup.network
    preprocessing = Preprocessing.of(EvalTransform(size), network, setup.compute, config)
    fit_localizer(localizer, setup.splits.get("train", setup.splits["val"]).paths(), preprocessing)
    return preprocessing


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
    """Draw the same test images with the best row of each localizer, best first."""
    best: dict[str, Row] = {}
    for row in rows:
        best.setdefault(row.localizer, row)
    test = setup.splits.get("test", setup.splits["val"])
    chosen = test.evenly(setup.config.num_overlays)
    columns = []
    for row in best.values():
        locate = Localizer(
            setup.network,
            localizer=row.localizer,
            layers=setup.config.layers,
            affinity="" if row.affinity == "none" else row.affinity,
            flip=setup.config.flip,
            normalization=row.normalization,
            threshold=row.threshold,
            image_size=row.image_size,
            precision=setup.compute.precision,
            device=setup.config.device,
        )
        _fit(setup, locate.localizer, row.image_size)
        locate.is_fitted = True
        columns.append(list(locate(chosen.paths())))
    sheet = []
    for index, path in enumerate(chosen.paths()):
        ground_truth = None if chosen.boxes is None else chosen.boxes[index]
        good = [column[index] for column in columns]
        if all(result.error is None for result in good):
            image = load_image(path)
            sheet.append([draw(image, r.heat_map, r.boxes, ground_truth, side=240) for r in good])
    return grid(sheet) if sheet else Image.new("RGB", (1, 1))


def _save_winner(setup: Setup, winner: Row) -> None:
    """Save the best row as the run's localizer options, with the fitted state of its localizer."""
    run = setup.config.run
    if run is None:
        return
    network, info = load_run(run)
    localizer_config = _localizer_config(setup.config, winner.localizer, winner.affinity)
    localizer_config = replace(localizer_config, normalization=winner.normalization)
    localizer = localizer_config.create(setup.network)
    _fit(setup, localizer, winner.image_size)
    info = replace(
        info,
        **asdict(localizer_config),
        image_size=winner.image_size,
        threshold=winner.threshold,
        threshold_from=winner.threshold_from,
        precision=setup.compute.precision,
    )
    save_run(run, network, info, localizer.state())
