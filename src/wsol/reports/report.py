"""Report of a prediction: a folder with a page that works from disk, without a server."""

import hashlib
import logging
from collections.abc import Iterable, Iterator, Mapping, Sized
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any, TextIO

import wsol
from wsol._utils.concurrency import in_order
from wsol._utils.files import write_folder
from wsol._utils.names import escape_name
from wsol._utils.progress import Meter
from wsol.data.images import MAX_PIXELS
from wsol.errors import ConfigError, DataError, ImageError
from wsol.maps.curves import num_processors
from wsol.reports.config import MAX_IMAGES, SIDE, ReportConfig
from wsol.reports.metrics import metric_of
from wsol.reports.page_data import (
    GroundTruth,
    ReportMetrics,
    Summary,
    encode_small_map,
    page_info,
    read_ground_truth,
    report_thresholds,
    row_of,
    save_photo,
    script_json,
    summarize,
)
from wsol.results.localization import Localization, PredictionInfo
from wsol.results.store import PredictionStore

log = logging.getLogger("wsol")

CHUNK = 64
"""Maps per file: small files load fast, as sorting spreads the visible images over all files."""

INDEX = Path("data/index.js")


@dataclass(frozen=True)
class Written:
    """Result of writing a report.

    Attributes:
        page: path of the page, to open in a browser.
        number: number of images in the prediction.
        shown: number of images on the page.
        errors: number of images on the page that were unreadable, in the prediction or now.
    """

    page: Path
    number: int
    shown: int
    errors: int


def write_report(
    results: Iterable[Localization],
    info: PredictionInfo,
    folder: Path,
    *,
    ground_truth: Mapping[str, GroundTruth] | None = None,
    metrics: Mapping[str, float | int | None] | None = None,
    number: int | None = None,
    max_images: int = MAX_IMAGES,
    side: int = SIDE,
    max_pixels: int = MAX_PIXELS,
) -> Written:
    """Write the report of a prediction; an existing report is replaced at the end.

    Args:
        results: localizations of the images, such as a ``PredictionStore``; iterated once.
        info: information on the prediction.
        folder: output folder; new, empty or an existing report.
        ground_truth: ground truth by image id.
        metrics: metrics to show, with the names of ``wsol evaluate``; default: metrics computed
            from the ground truth.
        number: number of results, if ``results`` has no length; if it exceeds ``max_images``, the
            images on the page are spread evenly.
        max_images: maximum number of images on the page.
        side: longest side of the image copies in pixels.
        max_pixels: pixel limit of an image; larger images are not shown.

    Raises:
        ConfigError: the folder contains other files, or is not writable.

    >>> import tempfile
    >>> info = PredictionInfo(("cat",), Path("photos"), threshold=0.2)
    >>> lost = Localization("a.jpg", error=ImageError("a.jpg", "the file is empty"))
    >>> with tempfile.TemporaryDirectory() as parent:
    ...     written = write_report([lost], info, Path(parent, "report"))
    ...     written.page.name, written.shown, written.errors
    ('index.html', 1, 1)
    """
    if number is None:
        number = len(results) if isinstance(results, Sized) else max_images
    known, thresholds = ground_truth or {}, report_thresholds(info.threshold)
    summaries = (
        summarize(
            result,
            known.get(result.image_id),
            thresholds,
            _is_shown(position, number, max_images),
        )
        for position, result in enumerate(results)
    )
    return write_summaries(summaries, info, folder, metrics, side, max_pixels)


def write_summaries(
    summaries: Iterable[Summary],
    info: PredictionInfo,
    folder: Path,
    metrics: Mapping[str, float | int | None] | None = None,
    side: int = SIDE,
    max_pixels: int = MAX_PIXELS,
) -> Written:
    """Write the report of images that are already summarized; see ``write_report``."""
    check_folder(folder)

    def write(part: Path) -> Written:
        (part / INDEX.parent).mkdir()
        with (part / INDEX).open("w", encoding="ascii", newline="\n") as index:
            writer = _Writer(part, index, info, side, max_pixels)
            writer.add_all(summaries)
            return writer.close(metrics)

    try:
        written = write_folder(folder, write)
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be written: {error.strerror or error}") from error
    return replace(written, page=folder / "index.html")


def check_folder(folder: Path) -> None:
    """Raise a ``ConfigError`` if a folder contains something other than a report."""
    is_free = not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))
    if not (is_free or (folder / INDEX).is_file()):
        raise ConfigError(f"{folder}: contains files other than a report; use another --out")


def _is_shown(position: int, number: int, max_images: int) -> bool:
    """Return whether a result is one of those on the page, which are spread evenly over all."""
    if number <= max_images:
        return position < max_images
    return position * max_images // number != (position - 1) * max_images // number


class _Writer:
    """Writes the files of a report result by result."""

    def __init__(
        self, folder: Path, index: TextIO, info: PredictionInfo, side: int, max_pixels: int
    ) -> None:
        self.folder, self.index, self.info = folder, index, info
        self.side, self.max_pixels = side, max_pixels
        self.classes = frozenset(info.classes)
        self.metrics = ReportMetrics(info)
        self.digest = hashlib.sha256()
        self.number = self.shown = self.errors = 0
        self.maps: list[str | None] = []
        self.has_ground_truth = False
        (folder / "photos").mkdir()
        (folder / "page").mkdir()
        for file in Path(__file__).with_name("page").iterdir():
            place = folder if file.name == "index.html" else folder / "page"
            (place / file.name).write_bytes(file.read_bytes())
        self.index.write('wsol.takeIndex({"rows":[')

    def add_all(self, summaries: Iterable[Summary]) -> None:
        """Write the images; their copies are made in threads."""
        numbers = count()
        numbered = ((next(numbers) if each.is_shown else None, each) for each in summaries)
        for summary, error in in_order(self._copy_photo, numbered, num_processors()):
            self._add(summary, error)

    def _copy_photo(
        self, numbered: tuple[int | None, Summary]
    ) -> tuple[Summary, ImageError | None]:
        """Copy an image that is on the page; return the error if it cannot be read now."""
        number, summary = numbered
        if number is not None and summary.result.error is None:
            # Numbered, as image names are untrusted.
            copy = self.folder / "photos" / f"{number:06d}.jpg"
            try:
                save_photo(self.info.path(summary.result), copy, self.side, self.max_pixels)
            except ImageError as error:
                return summary, error
        return summary, None

    def _add(self, summary: Summary, error: ImageError | None) -> None:
        """Count an image, and write its row and map if it is on the page."""
        self.number += 1
        self.metrics.add(summary)
        if not summary.is_shown:
            return
        result, small_map = summary.result, summary.small_map
        row = row_of(result, summary.ground_truth, self.classes)
        self.digest.update(script_json([row["name"], row["boxes"]]).encode())
        row |= {"map": small_map is not None, "photo": result.error is None and error is None}
        if error is not None:
            log.warning("%s", error)
            row["error"] = escape_name(error.reason)
        self.errors += not row["photo"]
        self.has_ground_truth |= summary.ground_truth is not None
        self.index.write(("," if self.shown else "") + "\n" + script_json(row))
        self.maps.append(None if small_map is None else encode_small_map(small_map))
        self.shown += 1
        if len(self.maps) == CHUNK:
            self._write_maps()

    def close(self, metrics: Mapping[str, float | int | None] | None) -> Written:
        """Write the remaining maps, and the information on all results."""
        if self.maps:
            self._write_maps()
        shown = dict(self.metrics.metrics() if metrics is None else metrics)
        page: dict[str, Any] = page_info(self.info) | {
            "id": self.digest.hexdigest()[:16],
            "version": wsol.__version__,
            "chunk": CHUNK,
            "number": self.number,
            "statuses": dict(self.metrics.statuses),
            "metrics": shown,
            "figures": {name: metric_of(name)._asdict() for name in shown},
            "curves": self.metrics.curves(),
            "scores": self.metrics.scores.tolist(),
            "ground_truth": self.has_ground_truth,
        }
        self.index.write(f'\n],"about":{script_json(page)}}});\n')
        return Written(self.folder / "index.html", self.number, self.shown, self.errors)

    def _write_maps(self) -> None:
        chunk = (self.shown - 1) // CHUNK
        text = f"wsol.takeMaps({chunk},{script_json(self.maps)});\n"
        (self.folder / f"data/maps-{chunk:05d}.js").write_text(text, encoding="ascii")
        self.maps = []


def report(config: ReportConfig) -> Written:
    """Write the report of a prediction.

    Args:
        config: options of the report.

    Raises:
        DataError: the prediction is not finished, or a file of it cannot be read.
        AnnotationError: the ground-truth boxes cannot be used.
        ConfigError: the output folder contains other files, or is not writable.
    """
    if config.images is not None and not config.images.is_dir():
        raise DataError(f"{config.images}: no such folder; set --images to the image folder")
    store = PredictionStore(config.predictions, config.images)
    folder = config.predictions / "report" if config.out is None else config.out
    check_folder(folder)
    ground_truth = None
    if config.boxes is not None:
        sizes = {result.image_id: result.original_size for result in store}
        ground_truth = read_ground_truth(config.boxes, sizes, store.info.images)
    with Meter("report", len(store)) as meter:

        def counted() -> Iterator[Localization]:
            for result in store:
                yield result
                meter.advance(1)

        return write_report(
            counted(),
            store.info,
            folder,
            ground_truth=ground_truth,
            number=len(store),
            max_images=config.max_images,
            side=config.side,
            max_pixels=config.max_pixels,
        )
