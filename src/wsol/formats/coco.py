"""COCO results, and a COCO data set with the same boxes."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsol import __version__
from wsol._utils.names import escape_name
from wsol.formats._files import JsonList, write_lists
from wsol.results.localization import Localization, PredictionInfo, box_masks, box_rows


class CocoWriter:
    """Writes ``predictions.json`` and ``annotations.json``.

    ``predictions.json`` is a list in COCO's results format, ``image_id``, ``category_id``,
    ``bbox`` (x y width height in pixels of the original image, EXIF orientation applied),
    ``score`` and ``segmentation`` (run lengths), with ``file_name`` and ``category`` added so that
    the file is self-contained. ``annotations.json`` is a COCO data set with the same boxes in
    ``annotations``, and with ``images`` and ``categories``. All readable images are in ``images``,
    with their ``status``; unreadable ones, which would stop a training, are in ``errors``.

    Args:
        folder: existing output folder.
        info: information on the prediction. Category ids are class indices plus 1; ``categories``
            contains the classes that occur.
    """

    def __init__(self, folder: Path, info: PredictionInfo) -> None:
        """Create empty lists."""
        self.folder, self.info = folder, info
        self.results = JsonList(folder)
        self.images, self.annotations = JsonList(folder), JsonList(folder)
        self.errors = JsonList(folder)
        self.number = self.boxes = 0
        self.labels: set[int] = set()

    def add(self, result: Localization) -> None:
        """Add the rows of an image."""
        self.number += 1
        name, (width, height) = escape_name(result.image_id), result.original_size
        row: dict[str, Any] = {"id": self.number, "file_name": name}
        if result.error is not None:
            reason = escape_name(result.error.reason)
            self.errors.add(row | {"status": result.status, "error": reason})
            return
        self.images.add(row | {"width": width, "height": height, "status": result.status})
        masks = box_masks(result, self.info.threshold)
        for ((x0, y0, x1, y1), score, label), mask in zip(box_rows(result), masks, strict=True):
            self.boxes += 1
            self.labels.add(label)
            box = {
                "image_id": self.number,
                "category_id": label + 1,
                "bbox": [x0, y0, x1 - x0, y1 - y0],
                "score": score,
                "segmentation": run_lengths(mask),
            }
            self.results.add(
                box | {"file_name": name, "category": escape_name(self.info.names[label])}
            )
            self.annotations.add({"id": self.boxes, **box, "area": int(mask.sum()), "iscrowd": 0})

    def close(self) -> None:
        """Write each file atomically."""
        categories = JsonList(self.folder)
        for label in sorted(self.labels):
            categories.add({"id": label + 1, "name": escape_name(self.info.names[label])})
        write_lists(
            self.folder / "annotations.json",
            {
                "info": {"description": escape_name(self.info.model), "version": __version__},
                "images": self.images,
                "annotations": self.annotations,
                "categories": categories,
                "errors": self.errors,
            },
        )
        write_lists(self.folder / "predictions.json", self.results)


def run_lengths(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """Return a mask in COCO's compressed run-length encoding.

    Args:
        mask: bool ``(H, W)``.

    >>> run_lengths(np.array([[False, True], [False, True]]))
    {'size': [2, 2], 'counts': '22'}
    """
    from faster_coco_eval.core.mask import encode

    counts = encode(np.asfortranarray(mask).view(np.uint8))["counts"]
    text = counts.decode("ascii") if isinstance(counts, bytes) else str(counts)
    return {"size": list(mask.shape), "counts": text}
