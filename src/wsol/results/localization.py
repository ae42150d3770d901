"""Localization of an image, information on its prediction, and conversions."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wsol.errors import ImageError, not_installed
from wsol.maps import masks_at, scale_boxes, scale_mask
from wsol.types import unique_names

if TYPE_CHECKING:
    import fiftyone
    import supervision
    from matplotlib.axes import Axes

    from wsol.visualization.plots import ImageLike


def box_masks(result: Localization, threshold: float) -> Iterator[NDArray[np.bool_]]:
    """Yield the mask of each box, bool ``(H, W)`` in pixels of the image.

    The bounding box of the mask is the box, within a pixel. Without a map, the mask is the filled
    box.

    Args:
        result: localization of an image.
        threshold: fraction of the map's maximum above which a pixel belongs to the object.

    >>> from wsol import Localization
    >>> result = Localization("a.jpg", (4, 2), heat_map=np.array([[0.1, 1.0]], np.float32),
    ...     boxes=np.array([[2.0, 0.0, 4.0, 2.0]]))
    >>> [mask.astype(int).tolist() for mask in box_masks(result, 0.2)]
    [[[0, 0, 1, 1], [0, 0, 1, 1]]]
    """
    if not result.heat_map.size:
        yield from (_filled(box, result.original_size) for box in result.boxes.tolist())
        return
    height, width = result.heat_map.shape
    size = (width, height)
    boxes = np.rint(scale_boxes(result.boxes, result.original_size, size)).astype(np.int64)
    boxes[:, :2] = boxes[:, :2].clip(0, np.array(size) - 1)
    boxes[:, 2:] = boxes[:, 2:].clip(boxes[:, :2] + 1, size)
    for mask in masks_at(result.heat_map, threshold, boxes):
        yield scale_mask(mask, result.original_size)


def _filled(box: list[float], size: tuple[int, int]) -> NDArray[np.bool_]:
    mask = np.zeros((size[1], size[0]), np.bool_)
    x0, y0, x1, y1 = box
    mask[max(0, math.floor(y0)) : math.ceil(y1), max(0, math.floor(x0)) : math.ceil(x1)] = True
    return mask


def box_rows(result: Localization) -> Iterator[tuple[list[float], float, int]]:
    """Yield coordinates, score and class of each box."""
    yield from zip(
        result.boxes.tolist(), result.box_scores.tolist(), result.box_labels.tolist(), strict=True
    )


def _window(mask: NDArray[np.bool_], box: tuple[float, float, float, float]) -> NDArray[np.bool_]:
    """Return the part of a mask inside its box, at least one pixel."""
    x0, y0 = (min(round(edge), size - 1) for edge, size in zip(box, mask.shape[::-1], strict=False))
    x1, y1 = max(round(box[2]), x0 + 1), max(round(box[3]), y0 + 1)
    return mask[y0:y1, x0:x1].copy()


@dataclass(frozen=True)
class PredictionInfo:
    """Information on a prediction that all its localizations share.

    Attributes:
        classes: class names, in the order of the network's logits.
        images: folder that the image ids are relative to.
        threshold: fraction of a map's maximum above which a pixel belongs to the object.
        instances: ``single`` or ``multiple`` boxes per class of an image.
        model: description of the model.

    >>> info = PredictionInfo(("cat", "dog"), Path("photos"), threshold=0.2)
    >>> info.path(Localization("a/1.jpg")).as_posix()
    'photos/a/1.jpg'
    >>> PredictionInfo(("crane", "jay", "crane"), Path("photos"), threshold=0.2).names
    ('crane#0', 'jay', 'crane#2')
    """

    classes: tuple[str, ...]
    images: Path
    threshold: float
    instances: str = "single"
    model: str = ""

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Unique names of the classes, see ``unique_names``."""
        return unique_names(self.classes)

    def path(self, result: Localization) -> Path:
        """Return the path of an image.

        Args:
            result: localization of the image.
        """
        return self.images / result.image_id


@dataclass(frozen=True, eq=False)
class Localization:
    """Localization of an image: class, heat map and boxes.

    Attributes:
        image_id: relative path of the image.
        original_size: width and height of the original image in pixels, as displayed (EXIF
            orientation applied).
        label: name of the class, the most likely one of a multi-label image; empty on error.
        class_index: index of this class; -1 on error.
        score: probability of this class, in [0, 1].
        heat_map: float32 ``(H, W)`` in [0, 1], of the whole image, in the network's input size; the
            maximum over the classes of a multi-label image; zeros if the map is constant.
        boxes: float64 ``(N, 4)``, x0 y0 x1 y1 in pixels of the original image, x1 and y1 on
            the box's far edge; empty if the map shows no object.
        box_scores: float64 ``(N,)`` in [0, 1], in descending order: the fraction of the heat map's
            variance that lies between object and background, reduced if the object touches the
            border of the image (``wsol.maps.box_confidence``); for multi-label runs, the
            probability of the box's class. With multiple instances, it is multiplied by the maximum
            of the heat map in the box.
        box_labels: int64 ``(N,)``, class of each box.
        error: error of an unreadable image, or None.

    >>> Localization("a.jpg", error=ImageError("a.jpg", "the file is empty")).status
    'error'
    """

    image_id: str
    original_size: tuple[int, int] = (0, 0)
    label: str = ""
    class_index: int = -1
    score: float = 0.0
    heat_map: NDArray[np.float32] = field(
        default_factory=lambda: np.zeros((0, 0), np.float32), repr=False
    )
    boxes: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 4)))
    box_scores: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    box_labels: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    error: ImageError | None = None

    @property
    def status(self) -> str:
        """Status: ``ok``, ``no_object`` (no object in the score map) or ``error``."""
        if self.error is not None:
            return "error"
        return "ok" if len(self.boxes) else "no_object"

    def plot(
        self,
        image: ImageLike | None = None,
        *,
        true_boxes: ArrayLike | None = None,
        classes: Sequence[str] = (),
        axes: Axes | None = None,
    ) -> Axes:
        """Draw the image with its heat map and boxes, using matplotlib.

        Args:
            image: image, or its path; default: the path ``image_id``.
            true_boxes: ground-truth boxes ``(N, 4)``, x0 y0 x1 y1 in pixels of the image.
            classes: class names, to annotate boxes of other classes than the image's.
            axes: axes to draw on; default: new axes.

        Raises:
            ImageError: the image cannot be read.
            ConfigError: matplotlib is not installed.
        """
        from wsol.visualization.plots import plot_localization

        return plot_localization(self, image, true_boxes=true_boxes, classes=classes, axes=axes)

    def to_supervision(self, info: PredictionInfo) -> supervision.Detections:
        """Convert the boxes to ``supervision.Detections``, with masks and class names.

        Args:
            info: information on the prediction, from ``Localizer.info`` or
                ``PredictionStore.info``.

        Raises:
            ConfigError: supervision is not installed.
        """
        try:
            from supervision import Detections
        except ImportError as error:
            raise not_installed("supervision", "supervision") from error
        names = [info.names[label] for label in self.box_labels.tolist()]
        masks = list(box_masks(self, info.threshold))
        return Detections(
            xyxy=self.boxes.astype(np.float32),
            mask=np.stack(masks) if masks else None,
            confidence=self.box_scores.astype(np.float32),
            class_id=self.box_labels,
            data={"class_name": np.array(names, np.str_)},
        )

    def to_fiftyone(self, info: PredictionInfo) -> fiftyone.Detections:
        """Convert the boxes to ``fiftyone.Detections``, as fractions of the image, with masks.

        Args:
            info: information on the prediction, from ``Localizer.info`` or
                ``PredictionStore.info``.

        Raises:
            ConfigError: fiftyone is not installed.
        """
        try:
            from fiftyone import Detection, Detections
        except ImportError as error:
            raise not_installed("fiftyone", "fiftyone") from error
        width, height = self.original_size
        masks = box_masks(self, info.threshold)
        return Detections(
            detections=[
                Detection(
                    label=info.names[label],
                    bounding_box=[x0 / width, y0 / height, (x1 - x0) / width, (y1 - y0) / height],
                    confidence=score,
                    mask=_window(mask, (x0, y0, x1, y1)),
                )
                for ((x0, y0, x1, y1), score, label), mask in zip(
                    box_rows(self), masks, strict=True
                )
            ]
        )
