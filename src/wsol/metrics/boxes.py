"""MaxBoxAcc and MaxBoxAccV2, accumulated as counts."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from wsol.maps.curves import IouCurves
from wsol.metrics._base import CountMetric
from wsol.metrics.functional import IOU_LEVELS, box_hits, percent


class MaxBoxAcc(CountMetric):
    """Share of images with a right largest contour, at the best threshold for all of them.

    Args:
        level: IoU in percent that a right box reaches.
        thresholds: of the curves, float64 ``(T,)``; by default a thousand.

    Source: Choe et al., Evaluating Weakly Supervised Object Localization Methods Right, CVPR
    2020, section 3.2.

    >>> metric = MaxBoxAcc(thresholds=np.array([0.0, 0.5]))
    >>> curve = np.array([0.4, 0.8])
    >>> metric.update(IouCurves(largest=curve, all=curve))
    >>> metric.update(IouCurves(largest=curve / 2, all=curve))
    >>> metric.compute()
    50.0
    """

    num_images: Tensor
    hits: Tensor

    def __init__(
        self, level: int = 50, thresholds: NDArray[np.float64] | None = None, **kwargs: Any
    ) -> None:
        """Start all counts at zero."""
        super().__init__(thresholds, **kwargs)
        self.level = level
        self.add_counts(num_images=(), hits=(len(self.thresholds),))

    def update(self, curves: IouCurves) -> None:
        """Count an image with true boxes by the IoU of its boxes at the thresholds."""
        self.num_images += 1
        self.hits += self.as_counts(box_hits(curves.largest, (self.level,))[:, 0])

    def compute(self) -> float | None:
        """Return the figure in percent; None without images."""
        return percent(int(self.hits.max()), int(self.num_images))


class MaxBoxAccV2(CountMetric):
    """Share of images with any right contour: the mean over three IoU levels.

    Each level has its own best threshold for all images.

    Args:
        thresholds: of the curves, float64 ``(T,)``; by default a thousand.

    Source: Choe et al., Evaluation for Weakly Supervised Object Localization: Protocol, Metrics,
    and Datasets, arXiv:2007.04178.

    >>> metric = MaxBoxAccV2(np.array([0.0, 0.5]))
    >>> metric.update(IouCurves(largest=np.zeros(2), all=np.array([0.6, 0.4])))
    >>> metric.compute()
    66.66666666666666
    """

    num_images: Tensor
    hits: Tensor

    def __init__(self, thresholds: NDArray[np.float64] | None = None, **kwargs: Any) -> None:
        """Start all counts at zero."""
        super().__init__(thresholds, **kwargs)
        self.add_counts(num_images=(), hits=(len(self.thresholds), len(IOU_LEVELS)))

    def update(self, curves: IouCurves) -> None:
        """Count an image with true boxes by the IoU of its boxes at the thresholds."""
        self.num_images += 1
        self.hits += self.as_counts(box_hits(curves.all))

    def compute(self) -> float | None:
        """Return the figure in percent; None without images."""
        return percent(int(self.hits.amax(0).sum()), int(self.num_images) * len(IOU_LEVELS))
