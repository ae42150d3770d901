"""Pixel average precision against true masks, accumulated as counts."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from wsol.maps.histograms import score_histograms
from wsol.metrics._base import CountMetric
from wsol.metrics.functional import pxap


class PxAP(CountMetric):
    """Pixel average precision: precision and recall of all pixels of all images together.

    Args:
        thresholds: edges of the score bins, float64 ``(T,)``, rising, from 0 and below 1; by
            default a thousand.

    Source: Choe et al., Evaluating Weakly Supervised Object Localization Methods Right, CVPR
    2020, section 3.2.

    >>> metric = PxAP()
    >>> score_map = np.array([[0.0, 1.0, 1.0, 0.5]])
    >>> metric.update(score_map, np.array([[0, 0, 1, 255]], np.uint8))
    >>> metric.compute()
    50.0
    """

    histograms: Tensor

    def __init__(self, thresholds: NDArray[np.float64] | None = None, **kwargs: Any) -> None:
        """Start all counts at zero."""
        super().__init__(thresholds, **kwargs)
        self.add_counts(histograms=(2, len(self.thresholds) + 2))

    def update(self, score_map: NDArray[np.floating], mask: NDArray[np.uint8]) -> None:
        """Count the pixels of one image.

        Args:
            score_map: float ``(H, W)`` in [0, 1].
            mask: uint8 ``(H, W)``: 0 background, 1 object, 255 ignored.

        Raises:
            ValueError: different shapes, a score outside [0, 1], another value in the mask.
        """
        self.histograms += self.as_counts(score_histograms(score_map, mask, self.thresholds))

    def compute(self) -> float | None:
        """Return the figure in percent; None where no image had an object pixel."""
        return pxap(self.histograms.cpu().numpy())
