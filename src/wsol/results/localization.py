"""The one result type: what prediction yields and everything downstream takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wsol.errors import ImageError

if TYPE_CHECKING:
    import fiftyone
    import supervision
    from matplotlib.axes import Axes

    from wsol.results.about import About
    from wsol.visualization.plots import Picture


def _no_map() -> NDArray[np.float32]:
    return np.zeros((0, 0), np.float32)


def _no_boxes() -> NDArray[np.float64]:
    return np.zeros((0, 4), np.float64)


def _no_scores() -> NDArray[np.float64]:
    return np.zeros(0, np.float64)


def _no_labels() -> NDArray[np.int64]:
    return np.zeros(0, np.int64)


@dataclass(frozen=True, eq=False)
class Localization:
    """Where a classifier sees objects in one picture.

    Attributes:
        image_id: the file's name as it was found: its relative path.
        image_size: width and height of the original picture in pixels, as displayed (EXIF
            orientation applied).
        label: name of the class, of several the likeliest; empty where there is an error.
        class_index: number of that class; -1 where there is an error.
        score: probability of that class, in [0, 1].
        heat_map: float32 ``(H, W)`` in [0, 1], over the whole picture, at the network's input
            size; of several classes the highest at each place; zeros where no pixel ranks above
            another.
        boxes: float64 ``(N, 4)``, x0 y0 x1 y1 in pixels of the original picture, x1 and y1 on
            the box's far edge; empty where the map shows no object.
        box_scores: float64 ``(N,)`` in [0, 1], the highest first: the share of the heat map's
            variance that lies between object and background, less where the object touches the
            picture's border (``wsol.maps.box_confidence``); where an image may have several labels,
            the probability of the box's class. It is multiplied by the peak of the box's heat where
            a map may have several boxes.
        box_labels: int64 ``(N,)``, class of each box.
        error: why the picture could not be read, or None.

    >>> Localization("a.jpg", error=ImageError("a.jpg", "the file is empty")).status
    'error'
    """

    image_id: str
    image_size: tuple[int, int] = (0, 0)
    label: str = ""
    class_index: int = -1
    score: float = 0.0
    heat_map: NDArray[np.float32] = field(default_factory=_no_map, repr=False)
    boxes: NDArray[np.float64] = field(default_factory=_no_boxes)
    box_scores: NDArray[np.float64] = field(default_factory=_no_scores)
    box_labels: NDArray[np.int64] = field(default_factory=_no_labels)
    error: ImageError | None = None

    @property
    def status(self) -> str:
        """``ok``, ``no_object`` (the score map shows none) or ``error``."""
        if self.error is not None:
            return "error"
        return "ok" if len(self.boxes) else "no_object"

    def plot(
        self,
        image: Picture | None = None,
        *,
        true_boxes: ArrayLike | None = None,
        classes: Sequence[str] = (),
        axes: Axes | None = None,
    ) -> Axes:
        """Draw the picture under its heat map, with its boxes, by matplotlib.

        Args:
            image: the picture, or its file; default: the file that ``image_id`` names.
            true_boxes: ``(N, 4)``, x0 y0 x1 y1 in pixels of the picture.
            classes: names, to write those of boxes whose class is not the picture's.
            axes: to draw on; default: new ones.

        Raises:
            ImageError: the picture cannot be read.
            ConfigError: matplotlib is not installed.
        """
        from wsol.visualization.plots import plot_localization

        return plot_localization(self, image, true_boxes=true_boxes, classes=classes, axes=axes)

    def to_supervision(self, about: About) -> supervision.Detections:
        """Return the boxes as ``supervision.Detections``, with masks and class names.

        Args:
            about: what the prediction says of all pictures, as ``Localizer.about`` or
                ``Record.about`` has it.

        Raises:
            ConfigError: supervision is not installed.
        """
        from wsol.results.in_memory import to_supervision

        return to_supervision(self, about)

    def to_fiftyone(self, about: About) -> fiftyone.Detections:
        """Return the boxes as ``fiftyone.Detections``, as shares of the picture, with masks.

        Args:
            about: what the prediction says of all pictures, as ``Localizer.about`` or
                ``Record.about`` has it.

        Raises:
            ConfigError: fiftyone is not installed.
        """
        from wsol.results.in_memory import to_fiftyone

        return to_fiftyone(self, about)
