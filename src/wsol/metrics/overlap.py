"""Mean IoU of the largest contour's box, accumulated without rounding that depends on order."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from wsol.maps.curves import IouCurves
from wsol.metrics._base import CountMetric
from wsol.metrics.functional import IOU_UNIT, fixed_point, percent


class MeanIoU(CountMetric):
    """Mean IoU of the largest contour's box with the true boxes, at any threshold.

    Each IoU is rounded once, to a whole multiple of 2^-36, and the multiples are added. So the
    mean is within 1e-9 percent, and the same to the last bit under any number of processes.

    Args:
        thresholds: of the curves, float64 ``(T,)``; by default a thousand.

    >>> metric = MeanIoU(np.array([0.0, 0.5]))
    >>> for value in (0.5, 1.0):
    ...     metric.update(IouCurves(largest=np.array([0.25, value]), all=np.ones(2)))
    >>> metric.at(threshold=0.0), metric.compute()
    (25.0, 75.0)
    """

    num_images: Tensor
    total: Tensor

    def __init__(self, thresholds: NDArray[np.float64] | None = None, **kwargs: Any) -> None:
        """Start all sums at zero."""
        super().__init__(thresholds, **kwargs)
        self.add_counts(num_images=(), total=(len(self.thresholds),))

    def update(self, curves: IouCurves) -> None:
        """Add an image with true boxes by the IoU of its boxes at the thresholds."""
        self.num_images += 1
        self.total += self.as_counts(fixed_point(curves.largest))

    def at(self, threshold: float) -> float | None:
        """Return the mean in percent at ``threshold``; None without images."""
        return self._mean(self.total[self.nearest(threshold)])

    def compute(self) -> float | None:
        """Return the mean in percent at the threshold where it is greatest; None without images."""
        return self._mean(self.total.max())

    def _mean(self, total: Tensor) -> float | None:
        return percent(int(total), int(self.num_images) * IOU_UNIT)
