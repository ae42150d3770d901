"""A localization as one row of a table, and back."""

import io
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from wsol._utils.names import original, portable
from wsol.errors import ImageError
from wsol.maps.levels import grey_levels
from wsol.results.localization import Localization

SCHEMA = pa.schema(
    [
        ("image_id", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("status", pa.string()),
        ("error", pa.string()),
        ("label", pa.string()),
        ("class_index", pa.int32()),
        ("score", pa.float64()),
        ("boxes", pa.list_(pa.list_(pa.float64(), 4))),
        ("box_scores", pa.list_(pa.float64())),
        ("box_labels", pa.list_(pa.int32())),
        ("heat_map", pa.binary()),
    ]
)
"""One row for each picture; ``heat_map`` is a PNG of the map's grey levels, null where it is
empty."""


def to_row(result: Localization) -> dict[str, Any]:
    """Return a localization as a row of ``SCHEMA``.

    Args:
        result: of one picture.

    >>> row = to_row(Localization("a.jpg", error=ImageError("a.jpg", "the file is empty")))
    >>> row["status"], str(from_row(row).error)
    ('error', 'a.jpg: the file is empty')
    """
    width, height = result.image_size
    return {
        "image_id": portable(result.image_id),
        "width": width,
        "height": height,
        "status": result.status,
        "error": None if result.error is None else portable(result.error.reason),
        "label": portable(result.label),
        "class_index": result.class_index,
        "score": result.score,
        "boxes": result.boxes.tolist(),
        "box_scores": result.box_scores.tolist(),
        "box_labels": result.box_labels.tolist(),
        "heat_map": encode_map(result.heat_map),
    }


def from_row(row: dict[str, Any]) -> Localization:
    """Return the localization of a row; its map has the grey levels of the one that was written.

    Args:
        row: as ``to_row`` gave it.
    """
    name, reason = original(row["image_id"]), row["error"]
    return Localization(
        image_id=name,
        image_size=(row["width"], row["height"]),
        label=original(row["label"]),
        class_index=row["class_index"],
        score=row["score"],
        heat_map=decode_map(row["heat_map"]),
        boxes=np.array(row["boxes"], np.float64).reshape(-1, 4),
        box_scores=np.array(row["box_scores"], np.float64),
        box_labels=np.array(row["box_labels"], np.int64),
        error=None if reason is None else ImageError(name, original(reason)),
    )


def encode_map(heat_map: NDArray[np.floating]) -> bytes | None:
    """Return a PNG of a map's grey levels, which are all that thresholds and boxes see of it.

    Args:
        heat_map: float ``(H, W)`` in [0, 1]; an empty one gives None.

    >>> decode_map(encode_map(np.array([[0.0, 0.5, 1.0]]))) * 255
    array([[  0., 127., 255.]], dtype=float32)
    """
    if not heat_map.size:
        return None
    png = io.BytesIO()
    Image.fromarray(grey_levels(heat_map)).save(png, "png", compress_level=1)
    return png.getvalue()


def decode_map(png: bytes | None) -> NDArray[np.float32]:
    """Return the map that was encoded, float32 ``(H, W)`` in [0, 1], with the same grey levels.

    Args:
        png: what ``encode_map`` gave.

    >>> decode_map(None).shape
    (0, 0)
    """
    if png is None:
        return np.zeros((0, 0), np.float32)
    grey = np.asarray(Image.open(io.BytesIO(png)))
    return (grey / 255).astype(np.float32)
