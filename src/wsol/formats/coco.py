"""COCO: results, one row a box with its score, and a data set that COCO's readers take."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsol import __version__
from wsol._utils.names import escape_name
from wsol.formats._files import JsonList, write_lists
from wsol.results.localization import Localization, PredictionInfo, box_masks


class CocoWriter:
    """Writes ``predictions.json`` and ``annotations.json``.

    ``predictions.json`` is a list in COCO's results format, ``image_id``, ``category_id``,
    ``bbox`` (x y width height in pixels of the original image, EXIF orientation applied),
    ``score`` and ``segmentation`` (run lengths), with ``file_name`` and ``category`` added so that
    it can be read alone. ``annotations.json`` has the same boxes as COCO's ``annotations``, beside
    ``images`` and ``categories``. Every image that could be read is in ``images``, with its
    ``status``; the others, which would stop a training, are in ``errors``.

    Args:
        folder: to write to; it exists.
        info: has the classes; category ids start at 1, in their order, and ``categories`` has
            those that occur.
    """

    def __init__(self, folder: Path, info: PredictionInfo) -> None:
        """Start with no rows."""
        self.folder, self.info = folder, info
        self.results = JsonList(folder)
        self.images, self.annotations = JsonList(folder), JsonList(folder)
        self.errors = JsonList(folder)
        self.number = self.boxes = 0
        self.labels: set[int] = set()

    def add(self, result: Localization) -> None:
        """Add one image's rows."""
        self.number += 1
        name, (width, height) = escape_name(result.image_id), result.original_size
        row: dict[str, Any] = {"id": self.number, "file_name": name}
        if result.error is not None:
            reason = escape_name(result.error.reason)
            self.errors.add(row | {"status": result.status, "error": reason})
            return
        self.images.add(row | {"width": width, "height": height, "status": result.status})
        for (x0, y0, x1, y1), score, label, mask in zip(
            result.boxes.tolist(),
            result.box_scores.tolist(),
            result.box_labels.tolist(),
            box_masks(result, self.info.threshold),
            strict=True,
        ):
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
        """Write the files, each whole or not at all."""
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
    """Return a mask as COCO's run-length encoding: its size and the compressed counts as text.

    Args:
        mask: bool ``(H, W)``.

    >>> run_lengths(np.array([[False, True], [False, True]]))
    {'size': [2, 2], 'counts': '22'}
    """
    from faster_coco_eval.core.mask import encode

    counts = encode(np.asfortranarray(mask).view(np.uint8))["counts"]
    text = counts.decode("ascii") if isinstance(counts, bytes) else str(counts)
    return {"size": list(mask.shape), "counts": text}
