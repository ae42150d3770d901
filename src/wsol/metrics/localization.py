"""Classification and localization accuracy, accumulated as counts."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from wsol.maps.curves import IouCurves
from wsol.metrics._base import CountMetric
from wsol.metrics.functional import IOU_LEVELS, best_threshold, box_hits, percent


class LocalizationAccuracy(CountMetric):
    """Top-1 and top-5 accuracy, MaxBoxAcc, MaxBoxAccV2, GT-known and top-k Loc.

    The states are integer counts, so the figures are exact under any number of processes and
    memory does not grow with the number of images. An image without true boxes counts for
    classification only.

    Args:
        thresholds: score map thresholds to try, float64 ``(T,)``, rising, in [0, 1).

    Source: Choe et al., Evaluating Weakly Supervised Object Localization Methods Right, CVPR
    2020, section 3.2 (MaxBoxAcc, MaxBoxAccV2); Choe & Shim, CVPR 2019, section 4.1 (GT-known,
    top-1 Loc).

    >>> metric = LocalizationAccuracy(np.array([0.0, 0.5]))
    >>> curve = np.array([0.4, 0.8])
    >>> metric.update(rank=0, curves=IouCurves(largest=curve, all=curve))
    >>> metric.update(rank=7, curves=IouCurves(largest=curve / 2, all=curve))
    >>> result = metric.at(threshold=0.5)
    >>> result["top1_cls"], result["gt_known"], result["max_box_acc_v2"]
    (50.0, 50.0, 100.0)
    """

    num_images: Tensor
    num_errors: Tensor
    num_boxed: Tensor
    top1: Tensor
    top5: Tensor
    largest: Tensor
    all: Tensor
    top1_largest: Tensor
    top5_largest: Tensor

    def __init__(self, thresholds: NDArray[np.float64] | None = None, **kwargs: Any) -> None:
        """Start all counts at zero."""
        super().__init__(thresholds, **kwargs)
        curve = (len(self.thresholds), len(IOU_LEVELS))
        self.add_counts(num_images=(), num_errors=(), num_boxed=(), top1=(), top5=())
        self.add_counts(largest=curve, all=curve, top1_largest=curve, top5_largest=curve)

    def update(self, rank: int | None, curves: IouCurves | None) -> None:
        """Count one image.

        Args:
            rank: how many classes score above the true one (0: the prediction is right); None
                where there is no prediction, which counts as wrong.
            curves: IoU of its boxes at the thresholds; None where it has no true box.
        """
        self.num_images += 1
        in_top1, in_top5 = (rank is not None and rank < k for k in (1, 5))
        self.top1 += in_top1
        self.top5 += in_top5
        if curves is None:
            return
        self.num_boxed += 1
        largest = self.as_counts(box_hits(curves.largest))
        self.largest += largest
        self.all += self.as_counts(box_hits(curves.all))
        if in_top1:
            self.top1_largest += largest
        if in_top5:
            self.top5_largest += largest

    def at(self, threshold: float) -> dict[str, float | int | None]:
        """Return all figures, in percent, with the threshold-bound ones at ``threshold``.

        GT-known and top-k Loc ask for IoU 50 with the largest contour. Figures that need true
        boxes are None where there are none.
        """
        images, boxed = int(self.num_images), int(self.num_boxed)
        best = self.largest.amax(0).tolist()
        half = self.nearest(threshold), IOU_LEVELS.index(50)
        return {
            "top1_cls": percent(int(self.top1), images),
            "top5_cls": percent(int(self.top5), images),
            **{
                f"max_box_acc_{level}": percent(count, boxed)
                for level, count in zip(IOU_LEVELS, best, strict=True)
            },
            "max_box_acc_v2": percent(int(self.all.amax(0).sum()), boxed * len(IOU_LEVELS)),
            "gt_known": percent(int(self.largest[half]), boxed),
            "top1_loc": percent(int(self.top1_largest[half]), boxed),
            "top5_loc": percent(int(self.top5_largest[half]), boxed),
            "threshold": threshold,
            "num_images": images,
            "num_with_ground_truth": boxed,
            "num_error": int(self.num_errors),
        }

    def best_threshold(self, levels: Sequence[int] = (50,)) -> float | None:
        """Return the threshold with the most right boxes; None without true boxes.

        Args:
            levels: IoU in percent, some of 30, 50 and 70; right boxes are summed over them.
        """
        if int(self.num_boxed) == 0:
            return None
        hits = self.largest[:, [IOU_LEVELS.index(level) for level in levels]].sum(1).cpu().numpy()
        return best_threshold(hits, self.thresholds)

    def compute(self) -> dict[str, float | int | None]:
        """Return all figures at the best threshold of the images seen."""
        return self.at(self.best_threshold() or 0.0)
