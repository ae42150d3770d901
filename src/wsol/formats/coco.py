"""COCO results: one row per box with its score, and the list of images that they refer to."""

from pathlib import Path
from typing import Any

from wsol.files import write_json
from wsol.formats.about import About
from wsol.localization import Localization


class CocoWriter:
    """Collects localizations and writes ``predictions.json`` and ``images.json``.

    ``predictions.json`` is a list in COCO's results format, ``image_id``, ``category_id``,
    ``bbox`` (x y width height in pixels of the original picture, EXIF orientation applied) and
    ``score``, with ``file_name`` and ``category`` added so that it can be read alone.
    ``images.json`` holds COCO's ``images`` and ``categories``; every input has its row there with
    a ``status`` (``ok``, ``no_object``, ``error``) and, where there is one, the ``error``.

    Args:
        folder: to write to; it exists.
        about: has the classes; category ids start at 1, in their order.
    """

    def __init__(self, folder: Path, about: About) -> None:
        """Start with no rows."""
        self.folder, self.classes = folder, about.classes
        self.images: list[dict[str, Any]] = []
        self.results: list[dict[str, Any]] = []

    def add(self, result: Localization) -> None:
        """Add one picture's rows."""
        image_id = len(self.images) + 1
        width, height = result.image_size
        row: dict[str, Any] = {
            "id": image_id,
            "file_name": result.image_id,
            "width": width,
            "height": height,
            "status": result.status,
        }
        if result.error is not None:
            row["error"] = result.error.reason
        self.images.append(row)
        for (x0, y0, x1, y1), score, label in zip(
            result.boxes.tolist(),
            result.box_scores.tolist(),
            result.box_labels.tolist(),
            strict=True,
        ):
            self.results.append(
                {
                    "image_id": image_id,
                    "category_id": label + 1,
                    "bbox": [x0, y0, x1 - x0, y1 - y0],
                    "score": score,
                    "file_name": result.image_id,
                    "category": self.classes[label],
                }
            )

    def close(self) -> None:
        """Write the files, each whole or not at all."""
        categories = [{"id": i, "name": name} for i, name in enumerate(self.classes, start=1)]
        write_json(self.folder / "images.json", {"images": self.images, "categories": categories})
        write_json(self.folder / "predictions.json", self.results)
