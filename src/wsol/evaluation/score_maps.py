"""Evaluation of score maps from files."""

import csv
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from heapq import heappush, heappushpop
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
from wsol.evaluation.score_map_metrics import (
    BoxEvaluator,
    Curve,
    Evaluator,
    MapScore,
    MaskEvaluator,
    RunMetrics,
)
from wsol.formats._files import to_cell
from wsol.maps import normalize as scale_to_unit
from wsol.visualization.plots import new_figure, plot_curves


class MapRow(NamedTuple):
    """What became of the map of one image.

    Attributes:
        image: the id.
        class_name: None where it is not known.
        status: ``ok``, ``no_object`` (constant or not finite), ``missing``, ``error``, or
            ``no_truth`` (no true box or mask, so not counted).
        score: in percent, or None.
        threshold: where the score is reached, or None.
        message: what is wrong, or empty.
    """

    image: str
    class_name: str | None
    status: str
    score: float | None
    threshold: float | None
    message: str


class Worst:
    """Keeps the rows with the lowest scores, and no others in memory.

    Args:
        count: how many to keep.

    >>> worst = Worst(1)
    >>> for name, score in (("a", 50.0), ("b", 20.0), ("c", 20.0)):
    ...     worst.add(MapRow(name, None, "ok", score, None, ""))
    >>> [row.image for row in worst.rows()]
    ['b']
    """

    def __init__(self, count: int) -> None:
        """Start without rows."""
        self.count = count
        self._seen = 0
        # The heap's first is the best of them, and of equals the last seen.
        self._heap: list[tuple[float, int, MapRow]] = []

    def add(self, row: MapRow) -> None:
        """Keep the row if it is among the worst so far; one without score is not."""
        self._seen += 1
        if row.score is None:
            return
        entry = (-row.score, -self._seen, row)
        if len(self._heap) < self.count:
            heappush(self._heap, entry)
        elif self.count:
            heappushpop(self._heap, entry)

    def rows(self) -> list[MapRow]:
        """Return the rows kept, the worst first."""
        return [row for _, _, row in sorted(self._heap, reverse=True)]


def write_table(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a CSV file row by row, whole or not at all.

    Args:
        path: the file; its folder exists.
        header: names of the columns.
        rows: taken one by one, and None written as an empty field.

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
            writer.writerows(map(_cells, rows))

    write_atomically(path, write)


def map_header(score_name: str) -> list[str]:
    """Return the names of a map row's columns.

    >>> map_header("best_iou")
    ['image', 'class', 'status', 'best_iou', 'threshold', 'message']
    """
    return ["image", "class", "status", score_name, "threshold", "message"]


def curve_rows(curve: Curve) -> Iterator[list[float]]:
    """Yield the rows of columns of equal length."""
    for row in zip(*(column.tolist() for column in curve.values()), strict=True):
        yield list(row)


def _cells(row: Sequence[object]) -> list[object]:
    return [_cell(value) for value in row]


def _cell(value: object) -> object:
    """Return text as no spreadsheet takes it for a formula, and numbers short."""
    if isinstance(value, str):
        return to_cell(value)
    return round(value, 6) if isinstance(value, float) else value


def save_curve(path: Path, curve: Curve, title: str) -> None:
    """Write a PNG with one line per column; without matplotlib say in the log what is needed.

    Args:
        path: the file; its folder exists. An older one is removed where none can be drawn.
        curve: columns in percent, beside ``threshold``.
        title: above the lines.
    """
    try:
        figure = new_figure()
    except ConfigError as error:
        path.unlink(missing_ok=True)
        log.info("no %s, as %s", path.name, error)
        return
    axes = plot_curves({title: curve}, axes=figure.add_subplot())
    axes.set_title(title, parse_math=False)
    write_atomically(path, lambda part: figure.savefig(part, format="png", dpi=150))


def read_score_map(
    path: Path, *, size: int | None, normalize: bool, max_pixels: int
) -> tuple[NDArray[np.floating], bool]:
    """Read, resize and scale one map, and say whether it shows an object.

    Args:
        path: of the file, see :func:`wsol.data.score_maps.load_score_map`.
        size: side of the square to resize to in pixels; None keeps the map's own size.
        normalize: scale by minimum and maximum; otherwise the map is taken as it is.
        max_pixels: larger maps are refused.

    Returns:
        Float ``(H, W)`` in [0, 1]; and False for a map that is constant or not finite, or, taken
        as it is, zero everywhere.

    Raises:
        ImageError: the file cannot be read, or, taken as it is, leaves [0, 1].
    """
    score_map = load_score_map(path, max_pixels)
    if size is not None:
        score_map = resize(score_map, size)
    if normalize:
        return scale_to_unit(score_map)
    # Also false for what is not a number.
    if not (score_map.min() >= 0 and score_map.max() <= 1):
        raise ImageError(path, "leaves [0, 1], which normalize false takes maps to be in")
    return score_map, bool(score_map.max() > 0)


def resize(score_map: NDArray[np.floating], size: int) -> NDArray[np.floating]:
    """Resize a map to a square by bicubic interpolation, as OpenCV's ``INTER_CUBIC`` does.

    Args:
        score_map: float ``(H, W)``, any range.
        size: side of the result in pixels.

    >>> resize(np.eye(2, dtype=np.float32), 4).shape
    (4, 4)
    """
    if score_map.shape == (size, size):
        return score_map
    pixels = torch.tensor(score_map)[None, None]
    resized = interpolate(pixels, (size, size), mode="bicubic", align_corners=False)
    result: NDArray[np.floating] = resized[0, 0].numpy()
    return result


log = logging.getLogger("wsol")

NAMED = 5
"""How many files or images a message names of many."""


class MapsEvaluation(NamedTuple):
    """Figures of a folder of score maps, in percent where they are accuracies.

    Attributes:
        metrics: those without threshold, and those at the threshold where one is given.
        at_best_threshold: also those at the threshold that is best on these very images: full
            supervision in disguise, for comparison only. None with masks.
        statuses: number of images of each status, see :class:`MapRow`.
        worst: rows of the worst maps that could be read, the worst first.
        out: the folder that was written.
    """

    metrics: RunMetrics
    at_best_threshold: RunMetrics | None
    statuses: Counter[str]
    worst: list[MapRow]
    out: Path


def evaluate_maps(config: EvaluateMapsConfig) -> MapsEvaluation:
    """Evaluate score maps from files against boxes or masks, and write what was found.

    A map that is missing or cannot be read counts as wrong. Maps are read one by one, so memory
    does not grow with their number. Written are ``metrics.json``, ``images.csv``, ``worst.csv``,
    ``curve.csv`` and, with matplotlib, ``curve.png``.

    Args:
        config: the options.

    Raises:
        DataError: annotations or maps cannot be used, or there are maps of no image.
        AnnotationError: a row of the annotations cannot be used.
        ImageError: a true mask, or an image whose size is needed, cannot be read.
        ConfigError: the output folder cannot be written, or an option does not fit.
    """
    annotations = open_annotations(
        config.annotations, config.images, config.masks, config.on_bad_annotation
    )
    if config.threshold is not None and isinstance(annotations, MaskAnnotations):
        raise ConfigError("threshold is for boxes: with masks PxAP is over all thresholds")
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
    measure = MaskEvaluator(annotations, shape, config.ignore_value, config.max_pixels)
    return _Evaluation(config, annotations, found, measure, out).run()


class _Outcome(NamedTuple):
    """What a thread hands back of one image, given by its index."""

    image: int
    status: str
    message: str
    scored: MapScore[Any] | None


@dataclass
class _Evaluation:
    """One evaluation: what it reads, how it measures, and what it has met."""

    config: EvaluateMapsConfig
    annotations: BoxAnnotations | MaskAnnotations
    found: FoundMaps
    measure: Evaluator[Any]
    out: Path

    def run(self) -> MapsEvaluation:
        """Measure all maps and write the files."""
        self.statuses: Counter[str] = Counter()
        self.worst = Worst(self.config.worst)
        self.missing: list[str] = []
        header = map_header(self.measure.score_name)
        write_table(self.out / "images.csv", header, self._rows())
        self._log_missing()
        write_table(self.out / "worst.csv", header, self.worst.rows())
        curve = self.measure.curve()
        write_table(self.out / "curve.csv", list(curve), curve_rows(curve))
        save_curve(self.out / "curve.png", curve, self.config.maps.name)
        return self._figures()

    def _rows(self) -> Iterator[MapRow]:
        """Measure the maps one after another, and yield a row for each image."""
        total = len(self.annotations)
        outcomes = in_order(self._score, range(total), self.config.num_workers)
        with Meter("evaluate", total) as meter:
            for outcome in outcomes:
                row = self._row(outcome)
                self.statuses[row.status] += 1
                if outcome.scored is not None:
                    self.measure.count(outcome.image, outcome.scored)
                if row.status in ("ok", "no_object"):
                    self.worst.add(row)
                elif row.status == "missing":
                    self.missing.append(row.image)
                elif row.status == "error":
                    log.warning("counted as wrong: %s", row.message)
                yield row
                meter.advance(1)

    def _score(self, index: int) -> _Outcome:
        name = self.found.files[index]
        if not self.annotations.has_ground_truth(index):
            return _Outcome(index, "no_truth", f"no true {self.measure.kind}", None)
        if name is None:
            return _Outcome(index, "missing", "no score map", self.measure.score(index, None))
        try:
            score_map, has_object = read_score_map(
                self.config.maps / name,
                size=self.config.image_size,
                normalize=self.config.normalize,
                max_pixels=self.config.max_pixels,
            )
        except ImageError as error:
            return _Outcome(index, "error", str(error), self.measure.score(index, None))
        scored = self.measure.score(index, score_map)
        if has_object:
            return _Outcome(index, "ok", "", scored)
        return _Outcome(index, "no_object", "the score map is constant or not finite", scored)

    def _row(self, outcome: _Outcome) -> MapRow:
        index, status, message, scored = outcome
        name, class_name = self.annotations.ids[index], self.annotations.classes[index]
        score = None if scored is None else scored.score
        threshold = None if scored is None else scored.threshold
        return MapRow(name, class_name, status, score, threshold, message)

    def _log_missing(self) -> None:
        if self.missing:
            log.warning(
                "counted as wrong: %d images without a score map: %s (images.csv has all)",
                len(self.missing),
                _named(self.missing),
            )

    def _figures(self) -> MapsEvaluation:
        threshold, best = self.config.threshold, self.measure.best_threshold()
        counts = {f"num_{status}": self.statuses[status] for status in COUNTED}
        metrics = self.measure.figures(threshold) | counts
        at_best = None if best is None else self.measure.figures(best)
        content: dict[str, Any] = dict(metrics)
        if threshold is not None:
            content["recall_by_class"] = self.measure.by_class(threshold)
        if best is not None and at_best is not None:
            by_class = {"recall_by_class": self.measure.by_class(best)}
            content["at_best_threshold_for_comparison_only"] = at_best | by_class
        write_json(self.out / "metrics.json", content)
        return MapsEvaluation(metrics, at_best, self.statuses, self.worst.rows(), self.out)


COUNTED = ("no_object", "missing", "error", "no_truth")
"""Statuses whose number is among the figures."""


def _check_extra(config: EvaluateMapsConfig, found: FoundMaps) -> None:
    if found.extra and not config.ignore_extra:
        raise DataError(
            f"{config.maps}: {len(found.extra)} score maps are of no image in "
            f"{config.annotations}: {_named(found.extra)}; --ignore_extra leaves them out"
        )


def _named(names: Sequence[str]) -> str:
    """Return the first names of many."""
    return ", ".join(map(repr, names[:NAMED])) + (", ..." if len(names) > NAMED else "")


def _output_folder(config: EvaluateMapsConfig) -> Path:
    """Make the output folder, which must not be taken for more maps the next time."""
    maps, out = config.maps, config.out
    if out is None:
        named = maps if maps.name not in ("", "..") else maps.resolve()
        out = named.with_name(f"{named.name}-evaluation")
    if out.resolve().is_relative_to(maps.resolve()):
        raise ConfigError(f"{out}: lies in the folder of score maps; choose another --out")
    make_folder(out)
    return out
