"""Data of a report's page: ground truth, rows, small maps, copies of images, and all counts."""

import base64
import io
import json
import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, JpegImagePlugin

from wsol._utils.names import escape_name
from wsol.data.annotations.csv import read_box_file
from wsol.data.annotations.matching import match_rows
from wsol.data.annotations.types import Box, BoxRow, Size, box_fault
from wsol.data.images import MAX_PIXELS, decode_image, open_image, orientation
from wsol.data.names import ImageNames, shared_end
from wsol.data.samples import Samples
from wsol.errors import AnnotationError, DataError
from wsol.maps import iou_curves, scale_boxes
from wsol.maps.normalize import grey_levels
from wsol.metrics.functional import IOU_LEVELS, box_hits, percent
from wsol.results.localization import Localization, PredictionInfo

log = logging.getLogger("wsol")


@dataclass(frozen=True, eq=False)
class GroundTruth:
    """Ground truth of an image.

    Attributes:
        boxes: float64 ``(k, 4)``, x0 y0 x1 y1 in pixels of the image as displayed.
        box_classes: class name of each box.
        classes: class names of the image.

    >>> GroundTruth(np.array([[0.0, 0, 5, 5]]), ("crow",), ("crow",)).classes
    ('crow',)
    """

    boxes: NDArray[np.float64]
    box_classes: tuple[str, ...]
    classes: tuple[str, ...]


def ground_truth_of(samples: Samples) -> dict[str, GroundTruth]:
    """Return the ground truth of each image of a split.

    Args:
        samples: split of a data set, with or without boxes.

    >>> boxes = (np.array([[1.0, 2, 3, 4]]),)
    >>> split = Samples(Path(), ("a.jpg",), np.array([1]), ("crow", "wren"), boxes)
    >>> ground_truth_of(split)["a.jpg"].box_classes
    ('wren',)
    """
    found = {}
    for index, name in enumerate(samples.ids):
        found[name] = GroundTruth(
            np.zeros((0, 4)) if samples.boxes is None else samples.boxes[index],
            tuple(samples.classes[label] for label in samples.labels_of_boxes(index)),
            tuple(samples.classes[label] for label in samples.labels_of(index)),
        )
    return found


def read_ground_truth(
    path: Path, sizes: Mapping[str, Size], images: Path | None = None
) -> dict[str, GroundTruth]:
    r"""Read the ground-truth boxes of images from a file or folder of any format.

    Names of images are matched by ``ImageNames``. If more than one name matches an image, the name
    with the longest common end with the path of the image is used. Boxes of other images are left
    out, and their number is logged.

    Args:
        path: boxes, see ``wsol.data.annotations.csv.read_box_file``.
        sizes: width and height of each image by id; 0 and 0 if unknown.
        images: folder that the ids are relative to.

    Raises:
        AnnotationError: a row cannot be used, or its box is outside the image.
        DataError: the file does not exist, its format is unknown, or it has no box of any image.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "boxes.csv")
    ...     _ = file.write_text("image,class,x0,y0,x1,y1\ntest/a.jpg,crow,1,2,30,40\n")
    ...     read_ground_truth(file, {"a.jpg": (64, 48)})["a.jpg"].boxes
    array([[ 1.,  2., 30., 40.]])
    """
    ids = list(sizes)
    rows = (row for row in read_box_file(path) if isinstance(row, BoxRow | AnnotationError))
    matched = match_rows(rows, ImageNames(ids), synonyms="all")
    if not matched.of_image:
        raise DataError(
            f"{path}: has no box of any of the {len(sizes)} images; check the image names"
        )
    if matched.unknown:
        count = len(matched.unknown)
        log.info("%s: left out %d boxes of images that were not predicted", path, count)
    return {
        ids[index]: _checked(_only(ids[index], of_image, images), sizes[ids[index]])
        for index, of_image in matched.of_image.items()
    }


def _only(name: str, rows: list[BoxRow], images: Path | None) -> list[BoxRow]:
    """Return the rows of the name that matches an image best."""
    place = name if images is None else (images.absolute() / name).as_posix()
    first = {row.image: row for row in reversed(rows)}
    shared = {other: shared_end(other, place) for other in first}
    chosen = [other for other in first if shared[other] == max(shared.values())]
    if len(chosen) == 1:
        return [row for row in rows if row.image == chosen[0]]
    one, other = sorted(first, key=[row.image for row in rows].index)[:2]
    raise first[other].bad(f"{other!r} and {one!r} both name the image {name!r}")


def _checked(rows: Iterable[BoxRow], size: Size) -> GroundTruth:
    """Validate the rows of an image, and return its ground truth."""
    found: dict[tuple[str, Box], None] = {}
    for row in rows:
        if row.is_relative and all(size):
            row = row.in_pixels(size)
        fault = box_fault(row.box, size if all(size) else None)
        if fault is None and (row.class_name, row.box) in found:
            fault = f"repeats an earlier box of {row.image!r}"
        if fault:
            raise row.bad(fault)
        found[row.class_name, row.box] = None
    names, boxes = zip(*found, strict=True)
    return GroundTruth(np.array(boxes, np.float64), names, tuple(sorted(set(names))))


def row_of(
    result: Localization, ground_truth: GroundTruth | None, classes: frozenset[str]
) -> dict[str, Any]:
    """Return the row of an image for the page, as documented in ``page/source.js``.

    Ground truth of other classes than the network's is not evaluated.

    >>> row = row_of(Localization("a.jpg", (8, 6), "cat", 0, 0.5), None, frozenset({"cat"}))
    >>> row["name"], row["status"], row["ground_truth"]
    ('a.jpg', 'no_object', None)
    """
    width, height = result.original_size
    boxes = zip(
        result.boxes.tolist(), result.box_scores.tolist(), result.box_labels.tolist(), strict=True
    )
    return {
        "name": escape_name(result.image_id),
        "width": width,
        "height": height,
        "status": result.status,
        "error": None if result.error is None else escape_name(result.error.reason),
        "label": result.class_index,
        "score": result.score,
        "boxes": [[*box, score, label] for box, score, label in boxes],
        "ground_truth": _ground_truth(result, ground_truth, classes),
    }


def _ground_truth(
    result: Localization, ground_truth: GroundTruth | None, classes: frozenset[str]
) -> dict[str, Any] | None:
    if ground_truth is None:
        return None
    boxes = zip(ground_truth.boxes.tolist(), ground_truth.box_classes, strict=True)
    scored = not classes.isdisjoint(ground_truth.classes)
    return {
        "classes": [escape_name(name) for name in ground_truth.classes],
        "right": result.label in ground_truth.classes if scored else None,
        "boxes": [[*box, escape_name(name)] for box, name in boxes],
    }


def page_info(info: PredictionInfo) -> dict[str, Any]:
    """Return the information that all rows share, for the page.

    >>> page_info(PredictionInfo(("cat",), Path("photos"), 0.2))["classes"]
    ['cat']
    """
    return {
        "classes": [escape_name(name) for name in info.names],
        "threshold": info.threshold,
        "instances": info.instances,
        "model": escape_name(info.model),
    }


def script_json(content: Any) -> str:
    r"""Return JSON that is safe inside a script element, whatever its strings contain.

    >>> script_json("</script>\u2028")
    '"\\u003c/script>\\u2028"'
    """
    # Non-ASCII characters are escaped, including the additional line ends of JavaScript.
    return json.dumps(content, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


MAP_SIDE = 64
"""Longest side of a map in a report, in pixels."""


def small_map(heat_map: NDArray[np.floating], side: int = MAP_SIDE) -> NDArray[np.uint8]:
    """Downscale a map to gray levels by averaging, uint8 ``(h, w)``.

    Args:
        heat_map: float ``(H, W)`` in [0, 1].
        side: longest side of the result in pixels; smaller maps keep their size.

    >>> small_map(np.array([[0.0, 1.0], [0.0, 1.0]]), side=1)
    array([[128]], dtype=uint8)
    """
    grey = grey_levels(heat_map)
    height, width = grey.shape
    scale = side / max(width, height)
    if scale >= 1:
        return grey
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    means = Image.fromarray(grey.astype(np.float32)).resize(size, Image.Resampling.BOX)
    # Round half up, to avoid a bias towards even levels.
    return np.floor(np.asarray(means) + 0.5).astype(np.uint8)


def encode_small_map(grey: NDArray[np.uint8]) -> str:
    """Encode a map ``(h, w)`` as PNG in base64.

    >>> encode_small_map(np.zeros((1, 1), np.uint8))[:11]
    'iVBORw0KGgo'
    """
    png = io.BytesIO()
    Image.fromarray(grey).save(png, "png", optimize=True)
    return base64.b64encode(png.getvalue()).decode("ascii")


def save_photo(path: Path, copy: Path, side: int, max_pixels: int = MAX_PIXELS) -> None:
    """Write a JPEG copy of an image as displayed, at most ``side`` pixels long, without metadata.

    A JPEG that is small enough keeps its quantization tables and subsampling, so that it hardly
    changes.

    Raises:
        ImageError: the image cannot be read.
    """
    with open_image(path, max_pixels) as image:
        keeps = (
            isinstance(image, JpegImagePlugin.JpegImageFile)
            and max(image.size) <= side
            and orientation(image) == 1
            # Browsers differ in their display of CMYK.
            and image.mode in ("L", "RGB")
        )
        if keeps:
            image.load()
    if keeps:
        # Of all metadata, Pillow would copy the comment only.
        image.save(copy, "jpeg", quality="keep", comment=b"")
        return
    displayed, _ = decode_image(path, max_pixels, least_side=side)
    displayed.thumbnail((side, side), Image.Resampling.BICUBIC, reducing_gap=2.0)
    displayed.save(copy, "jpeg", quality=82)


THRESHOLDS = np.arange(100) / 100

BINS = 20
"""Number of bins of the histogram of scores in [0, 1]."""


class Summary(NamedTuple):
    """Localization without its heat map, and what the report shows of the map.

    Attributes:
        result: localization without heat map.
        ground_truth: ground truth of the image, or None.
        small_map: downscaled map, uint8 ``(h, w)``; None without a map.
        hits: whether the box is correct at each threshold and IoU level, bool ``(T, L)``; None if
            it is wrong at all of them, or without ground-truth boxes.
        is_shown: whether the image is on the page; others are only counted.
    """

    result: Localization
    ground_truth: GroundTruth | None = None
    small_map: NDArray[np.uint8] | None = None
    hits: NDArray[np.bool_] | None = None
    is_shown: bool = True


def report_thresholds(threshold: float) -> NDArray[np.float64]:
    """Return the thresholds of the report's curve, and last the prediction's, ``(T,)``."""
    return np.append(THRESHOLDS, threshold)


def summarize(
    result: Localization,
    ground_truth: GroundTruth | None,
    thresholds: NDArray[np.float64],
    is_shown: bool = True,
) -> Summary:
    """Return what a report needs of an image; can be called in any thread.

    Boxes are evaluated as in the protocol ``wsoleval``: the box of the largest contour, in the size
    of the heat map, against any of the ground-truth boxes. Images without heat map count as wrong.

    Args:
        result: localization of the image.
        ground_truth: ground truth of the image, or None.
        thresholds: thresholds at which boxes are evaluated, see ``report_thresholds``.
        is_shown: whether the image is on the page.
    """
    heat_map, hits = result.heat_map, None
    has_map = heat_map.size > 0
    if ground_truth is not None and len(ground_truth.boxes) and has_map and result.status == "ok":
        size = (heat_map.shape[1], heat_map.shape[0])
        boxes = scale_boxes(ground_truth.boxes, result.original_size, size).astype(np.int64)
        hits = box_hits(iou_curves(heat_map, boxes, thresholds).largest)
    return Summary(
        replace(result, heat_map=np.zeros((0, 0), np.float32)),
        ground_truth,
        small_map(heat_map) if is_shown and has_map else None,
        hits,
        is_shown,
    )


class ReportMetrics:
    """Counts images, and images with correct class and box.

    Args:
        info: information on the prediction, with classes and threshold.

    >>> from pathlib import Path
    >>> metrics = ReportMetrics(PredictionInfo(("cat",), Path(), threshold=0.2))
    >>> score_map = np.zeros((8, 8), np.float32)
    >>> score_map[2:5, 2:5] = 1
    >>> boxes = np.array([[2.0, 2, 5, 5]])
    >>> found = Localization("a.jpg", (8, 8), "cat", 0, 0.9, score_map, boxes)
    >>> ground_truth = GroundTruth(boxes, ("cat",), ("cat",))
    >>> metrics.add(summarize(found, ground_truth, metrics.thresholds))
    >>> metrics.metrics()["box_acc_50"]
    100.0
    """

    def __init__(self, info: PredictionInfo) -> None:
        """Initialize all counts to zero."""
        self.classes = frozenset(info.classes)
        self.thresholds = report_thresholds(info.threshold)
        self.statuses: Counter[str] = Counter()
        self.scores = np.zeros(BINS, np.int64)
        self.hits = np.zeros((len(self.thresholds), len(IOU_LEVELS)), np.int64)
        self.both = self.boxed = self.named = self.right = 0

    def add(self, summary: Summary) -> None:
        """Count an image."""
        result, ground_truth = summary.result, summary.ground_truth
        self.statuses[result.status] += 1
        if result.error is None:
            self.scores[min(int(result.score * BINS), BINS - 1)] += 1
        if ground_truth is None:
            return
        class_right = result.label in ground_truth.classes
        if not self.classes.isdisjoint(ground_truth.classes):
            self.named += 1
            self.right += class_right
        self.boxed += len(ground_truth.boxes) > 0
        if summary.hits is not None:
            self.hits += summary.hits
            self.both += bool(summary.hits[-1, IOU_LEVELS.index(50)]) and class_right

    def metrics(self) -> dict[str, float]:
        """Return the metrics in percent, without those that lack ground truth.

        They differ from ``wsol evaluate``, which uses maps of the ground-truth class; here, maps
        are those of the predicted class.
        """
        at_50 = self.hits[:, IOU_LEVELS.index(50)]
        has_both = self.boxed if self.named else 0
        found = {
            "class_acc": percent(self.right, self.named),
            "box_acc_50": percent(int(at_50[-1]), self.boxed),
            "class_box_acc_50": percent(self.both, has_both),
            "best_box_acc_50": percent(int(at_50.max()), self.boxed),
        }
        return {name: value for name, value in found.items() if value is not None}

    def curves(self) -> dict[str, Any] | None:
        """Return accuracy in percent by threshold and IoU; None without ground-truth boxes."""
        if not self.boxed:
            return None
        shares = (self.hits[:-1] / self.boxed * 100).round(2)
        lines = zip(IOU_LEVELS, shares.T.tolist(), strict=True)
        return {
            "thresholds": THRESHOLDS.tolist(),
            "lines": [{"iou": level, "values": values} for level, values in lines],
        }
