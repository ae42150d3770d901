"""Data of a report's page: rows, small maps and scripts."""

import base64
import io
import json
import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, JpegImagePlugin

from wsol._utils.names import escape_name
from wsol.data.annotations.csv import read_box_file
from wsol.data.annotations.types import Box, BoxRow, ImageRow, Size, box_fault
from wsol.data.images import MAX_PIXELS, decode_image, open_image, orientation
from wsol.data.names import ImageNames, shared_end
from wsol.data.samples import Samples
from wsol.data.sources import open_source
from wsol.errors import AnnotationError, DataError
from wsol.maps.normalize import grey_levels
from wsol.results.localization import Localization, PredictionInfo

log = logging.getLogger("wsol")


@dataclass(frozen=True, eq=False)
class GroundTruth:
    """What is true of one image.

    Attributes:
        boxes: float64 ``(k, 4)``, x0 y0 x1 y1 in pixels of the image as displayed.
        box_classes: name of the class of each box.
        classes: names of the image's classes.

    >>> GroundTruth(np.array([[0.0, 0, 5, 5]]), ("crow",), ("crow",)).classes
    ('crow',)
    """

    boxes: NDArray[np.float64]
    box_classes: tuple[str, ...]
    classes: tuple[str, ...]


def ground_truth_of(samples: Samples) -> dict[str, GroundTruth]:
    """Return what a split of a data set says of each of its images.

    Args:
        samples: with or without boxes.

    >>> boxes = (np.array([[1.0, 2, 3, 4]]),)
    >>> split = Samples(Path(), ("a.jpg",), np.array([1]), ("crow", "wren"), boxes)
    >>> ground_truth_of(split)["a.jpg"].box_classes
    ('wren',)
    """
    found = {}
    for index, name in enumerate(samples.ids):
        boxes = np.zeros((0, 4)) if samples.boxes is None else samples.boxes[index]
        if samples.box_labels is None:
            labels = np.full(len(boxes), samples.labels[index])
        else:
            labels = samples.box_labels[index]
        found[name] = GroundTruth(
            boxes,
            tuple(samples.classes[label] for label in labels),
            tuple(samples.classes[label] for label in samples.labels_of(index)),
        )
    return found


def read_ground_truth(
    path: Path, sizes: Mapping[str, Size], images: Path | None = None
) -> dict[str, GroundTruth]:
    r"""Return the ground-truth boxes of images from a file or folder of any format.

    An image is named as ``ImageNames`` says. Where several names stand for one image, the one that
    has the longest end in common with its place in its folder is meant. Boxes of images that are
    not asked for are left out, and the log says how many.

    Args:
        path: see ``wsol.data.annotations.csv.read_box_file``.
        sizes: id of each image to its width and height; 0 and 0 where they are not known.
        images: folder that the ids are relative to.

    Raises:
        AnnotationError: a row cannot be used, or lies outside its image.
        DataError: there is no such file, its format is unknown, or it has no box of any image.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "boxes.csv")
    ...     _ = file.write_text("image,class,x0,y0,x1,y1\ntest/a.jpg,crow,1,2,30,40\n")
    ...     read_ground_truth(file, {"a.jpg": (64, 48)})["a.jpg"].boxes
    array([[ 1.,  2., 30., 40.]])
    """
    ids = list(sizes)
    names = ImageNames(ids)
    # Of each image, the rows by the name that they give it.
    named: dict[str, dict[str, list[BoxRow]]] = {}
    others = 0
    for row in read_box_file(path):
        if isinstance(row, AnnotationError):
            raise row
        if isinstance(row, ImageRow):
            continue
        match = names.find(row.image)
        if match is None:
            others += 1
            continue
        if match.index is None:
            raise row.bad(path, f"several images end in {row.image!r}; give more of the path")
        named.setdefault(ids[match.index], {}).setdefault(row.image, []).append(row)
    if not named:
        raise DataError(f"{path}: has no box of any of the {len(sizes)} images")
    if others:
        log.info("%s: %d boxes are of images that were not predicted", path, others)
    return {
        name: _checked(path, _only(path, name, rows, images), sizes[name])
        for name, rows in named.items()
    }


def _only(
    path: Path, name: str, named: Mapping[str, list[BoxRow]], images: Path | None
) -> list[BoxRow]:
    """Return the rows of the one name that an image has."""
    place = name if images is None else (images.absolute() / name).as_posix()
    shared = {other: shared_end(other, place) for other in named}
    chosen = [other for other in named if shared[other] == max(shared.values())]
    if len(chosen) == 1:
        return named[chosen[0]]
    one, other = list(named)[:2]
    row = named[other][0]
    reason = f"{other!r} and {one!r} both name the image {name!r}"
    raise row.bad(path, reason)


def _checked(path: Path, rows: Iterable[BoxRow], size: Size) -> GroundTruth:
    """Return what sound rows say of an image."""
    found: dict[tuple[str, Box], None] = {}
    for row in rows:
        if row.is_relative and all(size):
            row = row.in_pixels(size)
        fault = box_fault(row.box, size if all(size) else None)
        if fault is None and (row.class_name, row.box) in found:
            fault = f"repeats an earlier box of {row.image!r}"
        if fault:
            raise row.bad(path, fault)
        found[row.class_name, row.box] = None
    names, boxes = zip(*found, strict=True)
    return GroundTruth(np.array(boxes, np.float64), names, tuple(sorted(set(names))))


def row_of(
    result: Localization, ground_truth: GroundTruth | None, classes: frozenset[str]
) -> dict[str, Any]:
    """Return an image's row, as ``page/source.js`` describes it.

    Args:
        result: of the image.
        ground_truth: what is true of it, or None where that is not known.
        classes: that the network knows; only of these it can be right or wrong.

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
        "truth": None if ground_truth is None else _ground_truth(result, ground_truth, classes),
    }


def _ground_truth(
    result: Localization, ground_truth: GroundTruth, classes: frozenset[str]
) -> dict[str, Any]:
    boxes = zip(ground_truth.boxes.tolist(), ground_truth.box_classes, strict=True)
    scored = not classes.isdisjoint(ground_truth.classes)
    return {
        "classes": [escape_name(name) for name in ground_truth.classes],
        "right": result.label in ground_truth.classes if scored else None,
        "boxes": [[*box, escape_name(name)] for box, name in boxes],
    }


def page_info(info: PredictionInfo) -> dict[str, Any]:
    """Return what all rows have in common, as the page wants it.

    Args:
        info: of the prediction.

    >>> from pathlib import Path
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
    r"""Return JSON that is inert inside a script, whatever its texts hold.

    Args:
        content: of dictionaries, lists, texts and finite numbers.

    >>> script_json("</script>\u2028")
    '"\\u003c/script>\\u2028"'
    """
    # All but ASCII is escaped, and with it the line ends that only JavaScript knows.
    return json.dumps(content, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


MAP_SIDE = 64
"""Longest side of a carried map in pixels."""


def small_map(heat_map: NDArray[np.floating], side: int = MAP_SIDE) -> NDArray[np.uint8]:
    """Return the grey levels of a map, each the mean of what it covers, uint8 ``(h, w)``.

    Args:
        heat_map: float ``(H, W)`` in [0, 1].
        side: longest side of the result; smaller maps stay as they are.

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
    # Half up, as there is no reason to prefer even levels.
    return np.floor(np.asarray(means) + 0.5).astype(np.uint8)


def encode_small_map(grey: NDArray[np.uint8]) -> str:
    """Return a map as PNG in base64.

    Args:
        grey: uint8 ``(h, w)``.

    >>> encode_small_map(np.zeros((1, 1), np.uint8))[:11]
    'iVBORw0KGgo'
    """
    png = io.BytesIO()
    Image.fromarray(grey).save(png, "png", optimize=True)
    return base64.b64encode(png.getvalue()).decode("ascii")


_START, _SCAN, _END = b"\xff\xd8", 0xDA, 0xD9

_MARKER = re.compile(rb"\xff+([^\x00\xff])", re.DOTALL)

_PIXELS = re.compile(rb"(?:[^\xff]+|\xff[\x00\xd0-\xd7])*+", re.DOTALL)
"""What follows a scan's header: no marker but those that restart the decoder."""

_JFIF = b"\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"
_ADOBE = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00"
"""Segments for applications that tell how colours are stored: a thumbnail of no pixels ends the
first, and the second lacks its last byte, which says whether they are transformed."""


def save_photo(path: Path, copy: Path, side: int, max_pixels: int = MAX_PIXELS) -> None:
    """Write a JPEG of a photograph, at most so large, as it is displayed, without metadata.

    A JPEG that is small enough is not compressed again: what it says beside its pixels is left out.

    Args:
        path: of the photograph.
        copy: to write.
        side: longest side in pixels.
        max_pixels: larger photographs are not decoded.

    Raises:
        ImageError: the photograph cannot be read.
    """
    content = _plain(path, side, max_pixels)
    if content is not None:
        copy.write_bytes(content)
        return
    image, _ = decode_image(path, max_pixels, least_side=side)
    image.thumbnail((side, side), Image.Resampling.BICUBIC, reducing_gap=2.0)
    image.save(copy, "jpeg", quality=82)


def _plain(path: Path, side: int, max_pixels: int) -> bytes | None:
    """Return a JPEG's bytes without metadata, or None where it must be decoded."""
    with open_image(path, max_pixels) as image:
        fits = max(image.size) <= side and orientation(image) == 1
        # Browsers show inks as they like.
        plain = image.mode in ("L", "RGB")
        if not (isinstance(image, JpegImagePlugin.JpegImageFile) and fits and plain):
            return None
    with open_source(path) as file:
        return without_metadata(file.read())


def without_metadata(jpeg: bytes) -> bytes | None:
    """Return a JPEG without comments and what applications have added; None if it is not whole.

    Args:
        jpeg: content of the file.

    >>> from io import BytesIO
    >>> file = BytesIO()
    >>> Image.new("RGB", (8, 8)).save(file, "jpeg", comment=b"secret")
    >>> plain = without_metadata(file.getvalue())
    >>> b"secret" in plain, Image.open(BytesIO(plain)).size
    (False, (8, 8))
    """
    kept, place = [_START], 2
    if not jpeg.startswith(_START):
        return None
    while marker := _MARKER.match(jpeg, place):
        kind, start = marker[1][0], marker.end()
        if kind == _END:
            # Some cameras append another image, with metadata of its own.
            return b"".join([*kept, b"\xff\xd9"])
        end = start + int.from_bytes(jpeg[start : start + 2], "big")
        if kind == _SCAN and (pixels := _PIXELS.match(jpeg, end)):
            end = pixels.end()
        is_extra = kind == 0xFE or 0xE0 <= kind <= 0xEF
        segment = jpeg[start - 1 : end]
        kept.append(_colours(segment) if is_extra else b"\xff" + segment)
        place = end
    return None


def _colours(segment: bytes) -> bytes:
    """Return what a segment tells of how colours are stored, without whatever else it has."""
    kind, content = segment[0], segment[3:]
    if kind == 0xE0 and content.startswith(b"JFIF\0") and len(content) >= 14:
        return _JFIF
    if kind == 0xEE and content.startswith(b"Adobe") and len(content) >= 12:
        return _ADOBE + content[11:12]
    return b""
