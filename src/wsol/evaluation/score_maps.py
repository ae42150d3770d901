"""Evaluation of score map files."""

import csv
import logging
from bisect import insort
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import interpolate

from wsol._utils.concurrency import in_order
from wsol._utils.files import make_folder, write_atomically, write_json
from wsol._utils.progress import Meter
from wsol.data.annotations import BoxAnnotations, MaskAnnotations, open_annotations
from wsol.data.score_maps import FoundMaps, find_score_maps, load_score_map, usual_shape
from wsol.errors import ConfigError, DataError, ImageError
from wsol.evaluation.config import EvaluateMapsConfig
from wsol.evaluation.protocols import RunMetrics
from wsol.evaluation.score_map_metrics import (
    BoxEvaluator,
    Curve,
    MapScore,
    MaskEvaluator,
)
from wsol.formats._files import to_cell
from wsol.maps import normalize as scale_to_unit
from wsol.visualization.plots import new_figure, plot_curves

log = logging.getLogger("wsol")


class MapRow(NamedTuple):
    """Result of the map of one image.

    Attributes:
        image: image id.
        class_name: class name, or None if unknown.
        status: ``ok``, ``no_object`` (constant or not finite), ``missing``, ``error``, or
            ``no_ground_truth`` (no ground-truth box or mask, so not counted).
        score: score in percent, or None.
        threshold: threshold of the score, or None.
        message: error message, or empty.
    """

    image: str
    class_name: str | None
    status: str
    score: float | None
    threshold: float | None
    message: str


def keep_worst(worst: list[MapRow], row: MapRow, count: int) -> None:
    """Insert a row into a list of at most ``count`` rows, worst first; ties keep their order.

    >>> worst = []
    >>> for name, score in (("a", 50.0), ("b", 20.0), ("c", 20.0), ("d", None)):
    ...     keep_worst(worst, MapRow(name, None, "ok", score, None, ""), count=1)
    >>> [row.image for row in worst]
    ['b']
    """
    if row.score is not None:
        insort(worst, row, key=lambda each: each.score or 0.0)
        del worst[count:]


def write_table(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a CSV file row by row, atomically; None is an empty field.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_table(Path(folder, "a.csv"), ["id", "score"], [("=1+1", 0.5), ("b", None)])
    ...     Path(folder, "a.csv").read_text().split()
    ['id,score', "'=1+1,0.5", 'b,']
    """

    def write(part: Path) -> None:
        with part.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(header)
            writer.writerows([_cell(value) for value in row] for row in rows)

    write_atomically(path, write)


def _cell(value: object) -> object:
    """Return text that spreadsheets do not interpret as a formula, and numbers in short form."""
    if isinstance(value, str):
        return to_cell(value)
    return round(value, 6) if isinstance(value, float) else value


def save_curve(path: Path, curve: Curve, title: str) -> None:
    """Write a PNG with one line per column; without matplotlib, log the extra to install.

    An older file is removed if none can be drawn.
    """
    try:
        figure = new_figure()
    except ConfigError as error:
        path.unlink(missing_ok=True)
        log.info("%s not written: %s", path.name, error)
        return
    axes = plot_curves({title: curve}, axes=figure.add_subplot())
    axes.set_title(title, parse_math=False)
    write_atomically(path, lambda part: figure.savefig(part, format="png", dpi=150))


def read_score_map(
    path: Path, *, size: int | None, normalize: bool, max_pixels: int
) -> tuple[NDArray[np.floating], bool]:
    """Read, resize and scale one map, and return whether it shows an object.

    The map is a float array ``(H, W)`` in [0, 1]. It shows no object if it is constant, not finite
    or, without normalization, zero everywhere. ``size`` is the side of the square to resize to.

    Raises:
        ImageError: the file is unreadable, or, without normalization, has values outside [0, 1].
    """
    score_map = load_score_map(path, max_pixels)
    if size is not None:
        score_map = resize(score_map, size)
    if normalize:
        return scale_to_unit(score_map)
    # Also false for NaN.
    if not (score_map.min() >= 0 and score_map.max() <= 1):
        raise ImageError(path, "has values outside [0, 1], which --normalize false requires")
    return score_map, bool(score_map.max() > 0)


def resize(score_map: NDArray[np.floating], size: int) -> NDArray[np.floating]:
    """Resize a map to a square by bicubic interpolation, as OpenCV's ``INTER_CUBIC``.

    >>> resize(np.eye(2, dtype=np.float32), 4).shape
    (4, 4)
    """
    if score_map.shape == (size, size):
        return score_map
    pixels = torch.tensor(score_map)[None, None]
    resized = interpolate(pixels, (size, size), mode="bicubic", align_corners=False)
    result: NDArray[np.floating] = resized[0, 0].numpy()
    return result


NAMED = 5
"""Maximum number of files or images listed in a message."""


class MapsEvaluation(NamedTuple):
    """Metrics of a folder of score maps; accuracies are in percent.

    Attributes:
        metrics: metrics without threshold, and those at the given threshold.
        at_best_threshold: also metrics at the threshold that is best on the same images: this uses
            their ground truth, and is for comparison only. None with masks.
        statuses: number of images per status, see :class:`MapRow`.
        worst: rows of the worst readable maps, worst first.
        out: output folder.
    """

    metrics: RunMetrics
    at_best_threshold: RunMetrics | None
    statuses: Counter[str]
    worst: list[MapRow]
    out: Path


def evaluate_maps(config: EvaluateMapsConfig) -> MapsEvaluation:
    """Evaluate score map files against boxes or masks, and write the results.

    Missing and unreadable maps count as incorrect. Maps are read one by one, so memory does not
    grow with their number. The output files are ``metrics.json``, ``images.csv``, ``worst.csv``,
    ``curve.csv`` and, with matplotlib, ``curve.png``.

    Args:
        config: evaluation options.

    Raises:
        DataError: annotations or maps are invalid, or there are maps without annotations.
        AnnotationError: a row of the annotations is invalid.
        ImageError: a ground-truth mask, or an image whose size is needed, is unreadable.
        ConfigError: the output folder cannot be written, or an option is invalid.
    """
    annotations = open_annotations(
        config.annotations, config.images, config.masks, config.on_bad_annotation
    )
    if config.threshold is not None and isinstance(annotations, MaskAnnotations):
        raise ConfigError(
            "threshold: only valid for boxes, as PxAP of masks uses all thresholds; leave it out"
        )
    found = find_score_maps(config.maps, annotations.ids)
    _check_extra(config, found)
    out = _output_folder(config)
    if isinstance(annotations, BoxAnnotations):
        return _Evaluation(config, annotations, found, BoxEvaluator(annotations), out).run()
    files = (config.maps / name for name in found.files if name is not None)
    shape = (
        usual_shape(files, config.max_pixels)
        if config.image_size is None
        else (config.image_size,) * 2
    )
    evaluator = MaskEvaluator(annotations, shape, config.ignore_value, config.max_pixels)
    return _Evaluation(config, annotations, found, evaluator, out).run()


COUNTED = ("no_object", "missing", "error", "no_ground_truth")
"""Statuses whose counts are reported as metrics."""


@dataclass
class _Evaluation:
    """State of one evaluation: inputs, evaluator and statuses."""

    config: EvaluateMapsConfig
    annotations: BoxAnnotations | MaskAnnotations
    found: FoundMaps
    evaluator: BoxEvaluator | MaskEvaluator
    out: Path

    def run(self) -> MapsEvaluation:
        """Score all maps and write the files."""
        self.statuses: Counter[str] = Counter()
        self.worst: list[MapRow] = []
        self.missing: list[str] = []
        header = ["image", "class", "status", self.evaluator.score_name, "threshold", "message"]
        write_table(self.out / "images.csv", header, self._rows())
        if self.missing:
            log.warning(
                "counted as wrong: %d images without a score map: %s (full list in images.csv)",
                len(self.missing),
                _named(self.missing),
            )
        write_table(self.out / "worst.csv", header, self.worst)
        curve = self.evaluator.curve()
        columns = [column.tolist() for column in curve.values()]
        write_table(self.out / "curve.csv", list(curve), zip(*columns, strict=True))
        save_curve(self.out / "curve.png", curve, self.config.maps.name)
        return self._result()

    def _rows(self) -> Iterator[MapRow]:
        """Score the maps in order, and yield a row for each image."""
        total = len(self.annotations)
        outcomes = in_order(self._score, range(total), self.config.num_workers)
        with Meter("evaluate", total) as meter:
            for index, (row, scored) in enumerate(outcomes):
                self.statuses[row.status] += 1
                if scored is not None:
                    self.evaluator.count(index, scored)
                if row.status in ("ok", "no_object"):
                    keep_worst(self.worst, row, self.config.worst)
                elif row.status == "missing":
                    self.missing.append(row.image)
                elif row.status == "error":
                    log.warning("counted as wrong: %s", row.message)
                yield row
                meter.advance(1)

    def _score(self, index: int) -> tuple[MapRow, MapScore | None]:
        """Return the row of an image, and its score if it is counted; called in a thread."""
        name = self.found.files[index]
        if not self.annotations.has_ground_truth(index):
            reason = f"no ground-truth {self.evaluator.kind}"
            return self._row(index, "no_ground_truth", reason, None)
        if name is None:
            return self._row(index, "missing", "no score map", self.evaluator.score(index, None))
        try:
            score_map, has_object = read_score_map(
                self.config.maps / name,
                size=self.config.image_size,
                normalize=self.config.normalize,
                max_pixels=self.config.max_pixels,
            )
        except ImageError as error:
            return self._row(index, "error", str(error), self.evaluator.score(index, None))
        scored = self.evaluator.score(index, score_map)
        if has_object:
            return self._row(index, "ok", "", scored)
        return self._row(index, "no_object", "the score map is constant or not finite", scored)

    def _row(
        self, index: int, status: str, message: str, scored: MapScore | None
    ) -> tuple[MapRow, MapScore | None]:
        name, class_name = self.annotations.ids[index], self.annotations.classes[index]
        score, threshold = (None, None) if scored is None else (scored.score, scored.threshold)
        return MapRow(name, class_name, status, score, threshold, message), scored

    def _result(self) -> MapsEvaluation:
        """Write and return the metrics."""
        threshold, best = self.config.threshold, self.evaluator.best_threshold()
        counts = {f"num_{status}": self.statuses[status] for status in COUNTED}
        metrics = self.evaluator.figures(threshold) | counts
        at_best = None if best is None else self.evaluator.figures(best)
        content: dict[str, Any] = dict(metrics)
        if threshold is not None:
            content["recall_by_class"] = self.evaluator.by_class(threshold)
        if best is not None and at_best is not None:
            by_class = {"recall_by_class": self.evaluator.by_class(best)}
            content["at_best_threshold_for_comparison_only"] = at_best | by_class
        write_json(self.out / "metrics.json", content)
        return MapsEvaluation(metrics, at_best, self.statuses, self.worst, self.out)


def _check_extra(config: EvaluateMapsConfig, found: FoundMaps) -> None:
    if found.extra and not config.ignore_extra:
        raise DataError(
            f"{config.maps}: {len(found.extra)} score maps are of no image in "
            f"{config.annotations}: {_named(found.extra)}; use --ignore_extra to ignore them"
        )


def _named(names: Sequence[str]) -> str:
    """Return the first of many names."""
    return ", ".join(map(repr, names[:NAMED])) + (", ..." if len(names) > NAMED else "")


def _output_folder(config: EvaluateMapsConfig) -> Path:
    """Create the output folder, outside the score maps so that they are not mixed."""
    maps, out = config.maps, config.out
    if out is None:
        named = maps if maps.name not in ("", "..") else maps.resolve()
        out = named.with_name(f"{named.name}-evaluation")
    if out.resolve().is_relative_to(maps.resolve()):
        raise ConfigError(f"{out}: is inside the folder of score maps; use another --out")
    make_folder(out)
    return out
