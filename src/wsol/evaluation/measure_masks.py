"""Score maps against true masks."""

import numpy as np
from numpy.typing import NDArray

from wsol.data.annotations import MaskAnnotations
from wsol.data.annotations.masks import read_mask
from wsol.evaluation.score_map_metrics import Curve, Figures, Judged
from wsol.maps import score_histograms
from wsol.metrics import default_thresholds, pxap

Histograms = NDArray[np.int64]


class MaskMeasure:
    """PxAP of maps with true masks.

    Args:
        annotations: the files of the true masks.
        shape: height and width at which a map that is not there counts; None takes the mask's.
        ignore_value: see :func:`wsol.data.annotations.masks.read_mask`.
        max_pixels: larger masks are refused.
    """

    score_name = "pxap"
    kind = "mask"

    def __init__(
        self,
        annotations: MaskAnnotations,
        shape: tuple[int, int] | None,
        ignore_value: int | None,
        max_pixels: int,
    ) -> None:
        """Start without maps."""
        self.annotations, self.shape = annotations, shape
        self.ignore_value, self.max_pixels = ignore_value, max_pixels
        self.thresholds = default_thresholds()
        self.num_images = 0
        self._histograms = np.zeros((2, len(self.thresholds) + 2), np.int64)

    def judge(self, index: int, score_map: NDArray[np.floating] | None) -> Judged[Histograms]:
        """Return the image's own PxAP, and the histograms of its scores."""
        shape = self.shape if score_map is None else score_map.shape
        mask = read_mask(
            self.annotations.masks[index],
            None if shape is None else (shape[1], shape[0]),
            self.ignore_value,
            self.max_pixels,
        )
        scores = np.zeros(mask.shape, np.float32) if score_map is None else score_map
        histograms = score_histograms(scores, mask, self.thresholds)
        return Judged(pxap(histograms), None, histograms)

    def count(self, index: int, judged: Judged[Histograms]) -> None:
        """Add a map to the figures."""
        self.num_images += 1
        self._histograms += judged.counts

    def figures(self, threshold: float | None) -> Figures:
        """Return PxAP in percent, which belongs to no threshold."""
        return {
            "pxap": pxap(self._histograms),
            "num_images": self.num_images,
            "num_with_ground_truth": self.num_images,
        }

    def by_class(self, threshold: float) -> dict[str, float | None]:
        """Return nothing: the pixels of all classes are counted together."""
        return {}

    def best_threshold(self) -> float | None:
        """Return None: PxAP is over all thresholds."""
        return None

    def curve(self) -> Curve:
        """Return precision and recall of the pixels that score at least each threshold."""
        false, true = self._histograms[:, ::-1].cumsum(1)[:, ::-1][:, : len(self.thresholds)]
        total = max(int(self._histograms[1].sum()), 1)
        return {
            "threshold": self.thresholds,
            "precision": 100 * true / np.maximum(true + false, 1),
            "recall": 100 * true / total,
        }
