"""Data of a report's page: rows, small maps and scripts."""

import base64
import io
import json
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from wsol.maps.normalize import grey_levels
from wsol.portable import portable
from wsol.reports.ground_truth import Truth
from wsol.results.localization import About, Localization


def row_of(result: Localization, truth: Truth | None, classes: frozenset[str]) -> dict[str, Any]:
    """Return a picture's row, as ``page/source.js`` describes it.

    Args:
        result: of the picture.
        truth: what is true of it, or None where that is not known.
        classes: that the network knows; only of these it can be right or wrong.

    >>> row = row_of(Localization("a.jpg", (8, 6), "cat", 0, 0.5), None, frozenset({"cat"}))
    >>> row["name"], row["status"], row["truth"]
    ('a.jpg', 'no_object', None)
    """
    width, height = result.image_size
    boxes = zip(
        result.boxes.tolist(), result.box_scores.tolist(), result.box_labels.tolist(), strict=True
    )
    return {
        "name": portable(result.image_id),
        "width": width,
        "height": height,
        "status": result.status,
        "error": None if result.error is None else portable(result.error.reason),
        "label": result.class_index,
        "score": result.score,
        "boxes": [[*box, score, label] for box, score, label in boxes],
        "truth": None if truth is None else _truth(result, truth, classes),
    }


def _truth(result: Localization, truth: Truth, classes: frozenset[str]) -> dict[str, Any]:
    boxes = zip(truth.boxes.tolist(), truth.box_classes, strict=True)
    judged = not classes.isdisjoint(truth.classes)
    return {
        "classes": [portable(name) for name in truth.classes],
        "right": result.label in truth.classes if judged else None,
        "boxes": [[*box, portable(name)] for box, name in boxes],
    }


def about_page(about: About) -> dict[str, Any]:
    """Return what all rows have in common, as the page wants it.

    Args:
        about: of the prediction.

    >>> from pathlib import Path
    >>> about_page(About(("cat",), Path("photos"), 0.2))["classes"]
    ['cat']
    """
    return {
        "classes": [portable(name) for name in about.names],
        "threshold": about.threshold,
        "objects": about.objects,
        "model": portable(about.model),
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
