"""Report of a prediction: a folder with a page that works from disk, without a server."""

import hashlib
import logging
from collections.abc import Iterable, Iterator, Mapping, Sized
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import wsol
from wsol._utils.files import write_folder
from wsol._utils.names import escape_name
from wsol._utils.progress import Meter
from wsol.data.images import MAX_PIXELS
from wsol.errors import ConfigError, DataError, ImageError
from wsol.reports.config import MAX_IMAGES, SIDE, ReportConfig
from wsol.reports.metrics import RunMetrics, metric_of
from wsol.reports.page_data import (
    GroundTruth,
    encode_small_map,
    page_info,
    read_ground_truth,
    row_of,
    save_photo,
    script_json,
    small_map,
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
    check_folder(folder)
    if number is None:
        number = len(results) if isinstance(results, Sized) else max_images

    def write(chunk: Path) -> Written:
        (chunk / INDEX.parent).mkdir()
        with (chunk / INDEX).open("w", encoding="ascii", newline="\n") as index:
            writer = _Writer(chunk, index, info, side, max_pixels)
            for position, result in enumerate(results):
                shown = _shown(position, number, max_images)
                writer.add(result, (ground_truth or {}).get(result.image_id), shown)
            return writer.close(metrics)

    try:
        written = write_folder(folder, write)
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be written: {error.strerror or error}") from error
    return Written(folder / "index.html", written.number, written.shown, written.errors)


def check_folder(folder: Path) -> None:
    """Raise an error if a folder must not be replaced by a report.

    Args:
        folder: output folder of a report.

    Raises:
        ConfigError: the folder contains something other than a report.

    >>> check_folder(Path("no such folder"))
    """
    is_free = not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))
    if not (is_free or (folder / INDEX).is_file()):
        raise ConfigError(f"{folder}: contains files other than a report; use another --out")


def _shown(position: int, number: int, max_images: int) -> bool:
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
        self.figures = RunMetrics(info)
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

    def add(self, result: Localization, ground_truth: GroundTruth | None, shown: bool) -> None:
        """Count a result, and write its row, image copy and map if it is on the page."""
        self.number += 1
        self.figures.add(result, ground_truth)
        if not shown:
            return
        row = row_of(result, ground_truth, self.classes)
        self.digest.update(script_json([row["name"], row["boxes"]]).encode())
        row |= {"map": result.heat_map.size > 0, "photo": False}
        if result.error is None:
            try:
                self._save_photo(result)
                row["photo"] = True
            except ImageError as error:
                log.warning("%s", error)
                row["error"] = escape_name(error.reason)
        self.errors += not row["photo"]
        self.has_ground_truth |= ground_truth is not None
        self.index.write(("," if self.shown else "") + "\n" + script_json(row))
        self.maps.append(encode_small_map(small_map(result.heat_map)) if row["map"] else None)
        self.shown += 1
        if len(self.maps) == CHUNK:
            self._write_maps()

    def close(self, metrics: Mapping[str, float | int | None] | None) -> Written:
        """Write the remaining maps, and the information on all results."""
        if self.maps:
            self._write_maps()
        shown = dict(self.figures.metrics() if metrics is None else metrics)
        page: dict[str, Any] = page_info(self.info) | {
            "id": self.digest.hexdigest()[:16],
            "version": wsol.__version__,
            "chunk": CHUNK,
            "number": self.number,
            "statuses": dict(self.figures.statuses),
            "metrics": shown,
            "figures": {name: metric_of(name)._asdict() for name in shown},
            "curves": self.figures.curves(),
            "scores": self.figures.scores.tolist(),
            "ground_truth": self.has_ground_truth,
        }
        self.index.write(f'\n],"about":{script_json(page)}}});\n')
        return Written(self.folder / "index.html", self.number, self.shown, self.errors)

    def _save_photo(self, result: Localization) -> None:
        # Numbered, as image names are untrusted.
        copy = self.folder / "photos" / f"{self.shown:06d}.jpg"
        save_photo(self.info.path(result), copy, self.side, self.max_pixels)

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
