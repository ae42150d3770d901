"""What all metrics here share: states that are whole numbers, added up over processes."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics import Metric

from wsol.metrics.functional import default_thresholds


class CountMetric(Metric):
    """A metric whose states are int64 counts of a fixed size.

    A sum of integers has no order, so figures are the same to the last bit under any number of
    processes, and memory does not grow with the number of images. ``compute()`` adds up the
    processes by itself; before ``at()`` call ``sync()``.

    Args:
        thresholds: score map thresholds, float64 ``(T,)``, rising, in [0, 1); by default a
            thousand.
        kwargs: options of ``torchmetrics.Metric``.
    """

    full_state_update = False
    is_differentiable = False
    higher_is_better = True

    def __init__(self, thresholds: NDArray[np.float64] | None = None, **kwargs: Any) -> None:
        """Keep the thresholds."""
        super().__init__(**kwargs)
        self.thresholds = default_thresholds() if thresholds is None else thresholds

    def add_counts(self, **shapes: tuple[int, ...]) -> None:
        """Add states by name, at zero."""
        for name, shape in shapes.items():
            zeros = torch.zeros(shape, dtype=torch.int64)
            self.add_state(name, zeros, dist_reduce_fx="sum")

    def as_counts(self, values: NDArray[np.integer | np.bool_]) -> Tensor:
        """Return values as int64 on the device of the states."""
        return torch.from_numpy(values.astype(np.int64)).to(self.device)

    def nearest(self, threshold: float) -> int:
        """Return the index of the threshold that is nearest to this one."""
        return int(np.abs(self.thresholds - threshold).argmin())
