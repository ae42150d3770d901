"""Predictions as the objects of other packages, which are imported when they are asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from wsol.errors import not_installed
from wsol.results.masks import box_masks

if TYPE_CHECKING:
    import fiftyone
    import supervision

    from wsol.results.about import About
    from wsol.results.localization import Localization


def to_supervision(result: Localization, about: About) -> supervision.Detections:
    """Return boxes as ``supervision.Detections``.

    Args:
        result: of one picture.
        about: has the classes, whose names are in ``data["class_name"]``, and the threshold.

    Raises:
        ConfigError: supervision is not installed.
    """
    _check("supervision")
    from supervision import Detections

    names = [about.names[label] for label in result.box_labels.tolist()]
    width, height = result.image_size
    masks = np.zeros((len(result.boxes), height, width), np.bool_)
    for own, mask in zip(masks, box_masks(result, about.threshold), strict=True):
        own[:] = mask
    return Detections(
        xyxy=result.boxes.astype(np.float32),
        mask=masks if len(masks) else None,
        confidence=result.box_scores.astype(np.float32),
        class_id=result.box_labels,
        data={"class_name": np.array(names, np.str_)},
    )


def to_fiftyone(result: Localization, about: About) -> fiftyone.Detections:
    """Return boxes as ``fiftyone.Detections``: x y width height as shares of the picture.

    Args:
        result: of one picture.
        about: has the classes and the threshold.

    Raises:
        ConfigError: fiftyone is not installed.
    """
    _check("fiftyone")
    from fiftyone import Detection, Detections

    width, height = result.image_size
    return Detections(
        detections=[
            Detection(
                label=about.names[label],
                bounding_box=[x0 / width, y0 / height, (x1 - x0) / width, (y1 - y0) / height],
                confidence=score,
                mask=_window(mask, (x0, y0, x1, y1)),
            )
            for (x0, y0, x1, y1), score, label, mask in zip(
                result.boxes.tolist(),
                result.box_scores.tolist(),
                result.box_labels.tolist(),
                box_masks(result, about.threshold),
                strict=True,
            )
        ]
    )


def _window(mask: NDArray[np.bool_], box: tuple[float, float, float, float]) -> NDArray[np.bool_]:
    """Return the part of a mask in its box, at least one pixel."""
    x0, y0 = (min(round(edge), size - 1) for edge, size in zip(box, mask.shape[::-1], strict=False))
    x1, y1 = max(round(box[2]), x0 + 1), max(round(box[3]), y0 + 1)
    return mask[y0:y1, x0:x1].copy()


def _check(package: str) -> None:
    try:
        import_module(package)
    except ImportError as error:
        raise not_installed(package, package) from error
