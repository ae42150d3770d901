"""Localization metrics that accumulate integer counts: MaxBoxAcc, MaxBoxAccV2, PxAP and others."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics import Metric

from wsol.maps.curves import IouCurves
from wsol.maps.separability import score_histograms
from wsol.metrics.functional import (
    IOU_LEVELS,
    IOU_UNIT,
    best_threshold,
    box_hits,
    default_thresholds,
    fixed_point,
    percent,
    pxap,
)


class CountMetric(Metric):
    """Base class of metrics whose states are int64 counts of a fixed size.

    Integer sums are independent of order, so results are bit-identical for any number of
    processes, and memory does not grow with the number of images. ``compute()`` sums over the
    processes; call ``sync()`` before ``at()``.

    Args:
        thresholds: score map thresholds, float64 ``(T,)``, increasing, in [0, 1); default: 1000
            thresholds.
        kwargs: options of ``torchmetrics.Metric``.
    """

    full_state_update = False
    is_differentiable = False
    higher_is_better = True

    def __init__(self, thresholds: NDArray[np.float64] | None = None, **kwargs: Any) -> None:
        """Store the thresholds."""
        super().__init__(**kwargs)
        self.thresholds = default_thresholds() if thresholds is None else thresholds

    def add_counts(self, **shapes: tuple[int, ...]) -> None:
        """Add zero states by name."""
        for name, shape in shapes.items():
            zeros = torch.zeros(shape, dtype=torch.int64)
            self.add_state(name, zeros, dist_reduce_fx="sum")

    def as_counts(self, values: NDArray[np.integer | np.bool_]) -> Tensor:
        """Return values as int64 on the device of the states."""
        return torch.from_numpy(values.astype(np.int64)).to(self.device)

    def nearest(self, threshold: float) -> int:
        """Return the index of the nearest threshold."""
        return int(np.abs(self.thresholds - threshold).argmin())


class MaxBoxAcc(CountMetric):
    """Fraction of images with a correct largest contour, at the best threshold for all images.

    Args:
        level: IoU in percent that a correct box reaches.
        thresholds: thresholds of the curves, float64 ``(T,)``; default: 1000 thresholds.

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
        """Initialize all counts to zero."""
        super().__init__(thresholds, **kwargs)
        self.level = level
        self.add_counts(num_images=(), hits=(len(self.thresholds),))

    def update(self, curves: IouCurves) -> None:
        """Add an image with ground-truth boxes by the IoU of its boxes at the thresholds."""
        self.num_images += 1
        self.hits += self.as_counts(box_hits(curves.largest, (self.level,))[:, 0])

    def compute(self) -> float | None:
        """Return the metric in percent; None without images."""
        return percent(int(self.hits.max()), int(self.num_images))


class MaxBoxAccV2(CountMetric):
    """Fraction of images with any correct contour: the mean over three IoU levels.

    Each level has a separate best threshold for all images.

    Args:
        thresholds: thresholds of the curves, float64 ``(T,)``; default: 1000 thresholds.

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
        """Initialize all counts to zero."""
        super().__init__(thresholds, **kwargs)
        self.add_counts(num_images=(), hits=(len(self.thresholds), len(IOU_LEVELS)))

    def update(self, curves: IouCurves) -> None:
        """Add an image with ground-truth boxes by the IoU of its boxes at the thresholds."""
        self.num_images += 1
        self.hits += self.as_counts(box_hits(curves.all))

    def compute(self) -> float | None:
        """Return the metric in percent; None without images."""
        return percent(int(self.hits.amax(0).sum()), int(self.num_images) * len(IOU_LEVELS))


class MeanIoU(CountMetric):
    """Mean IoU of the largest contour's box with the ground-truth boxes, at any threshold.

    Each IoU is rounded once, to an integer multiple of 2^-36, and the multiples are added. The
    mean is exact within 1e-9 percent, and bit-identical for any number of processes.

    Args:
        thresholds: thresholds of the curves, float64 ``(T,)``; default: 1000 thresholds.

    >>> metric = MeanIoU(np.array([0.0, 0.5]))
    >>> for value in (0.5, 1.0):
    ...     metric.update(IouCurves(largest=np.array([0.25, value]), all=np.ones(2)))
    >>> metric.at(threshold=0.0), metric.compute()
    (25.0, 75.0)
    """

    num_images: Tensor
    total: Tensor

    def __init__(self, thresholds: NDArray[np.float64] | None = None, **kwargs: Any) -> None:
        """Initialize all sums to zero."""
        super().__init__(thresholds, **kwargs)
        self.add_counts(num_images=(), total=(len(self.thresholds),))

    def update(self, curves: IouCurves) -> None:
        """Add an image with ground-truth boxes by the IoU of its boxes at the thresholds."""
        self.num_images += 1
        self.total += self.as_counts(fixed_point(curves.largest))

    def at(self, threshold: float) -> float | None:
        """Return the mean in percent at ``threshold``; None without images."""
        return self._mean(self.total[self.nearest(threshold)])

    def compute(self) -> float | None:
        """Return the mean in percent at the threshold that maximizes it; None without images."""
        return self._mean(self.total.max())

    def _mean(self, total: Tensor) -> float | None:
        return percent(int(total), int(self.num_images) * IOU_UNIT)


class LocalizationAccuracy(CountMetric):
    """Top-1 and top-5 accuracy, MaxBoxAcc, MaxBoxAccV2, GT-known and top-k Loc.

    The states are integer counts, so results are exact for any number of processes and memory does
    not grow with the number of images. An image without ground-truth boxes counts for
    classification only.

    Args:
        thresholds: score map thresholds, float64 ``(T,)``, increasing, in [0, 1).

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
        """Initialize all counts to zero."""
        super().__init__(thresholds, **kwargs)
        curve = (len(self.thresholds), len(IOU_LEVELS))
        self.add_counts(num_images=(), num_errors=(), num_boxed=(), top1=(), top5=())
        self.add_counts(largest=curve, all=curve, top1_largest=curve, top5_largest=curve)

    def update(self, rank: int | None, curves: IouCurves | None) -> None:
        """Add one image.

        Args:
            rank: number of classes with a higher score than the ground-truth class (0: the
                prediction is correct); None without a prediction, which counts as incorrect.
            curves: IoU of its boxes at the thresholds; None without ground-truth boxes.
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
        """Return all metrics in percent, with threshold-dependent ones at ``threshold``.

        GT-known and top-k Loc require IoU 50 of the largest contour. Metrics that need ground-truth
        boxes are None without them.
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
        """Return the threshold with the most correct boxes; None without ground-truth boxes.

        Args:
            levels: IoU levels in percent, of 30, 50 and 70; correct boxes are summed over them.
        """
        if int(self.num_boxed) == 0:
            return None
        hits = self.largest[:, [IOU_LEVELS.index(level) for level in levels]].sum(1).cpu().numpy()
        return best_threshold(hits, self.thresholds)

    def compute(self) -> dict[str, float | int | None]:
        """Return all metrics at the best threshold of the accumulated images."""
        return self.at(self.best_threshold() or 0.0)


class PxAP(CountMetric):
    """Pixel average precision: precision and recall of all pixels of all images together.

    Args:
        thresholds: edges of the score bins, float64 ``(T,)``, increasing, from 0 and below 1;
            default: 1000 thresholds.

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
        """Initialize all counts to zero."""
        super().__init__(thresholds, **kwargs)
        self.add_counts(histograms=(2, len(self.thresholds) + 2))

    def update(self, score_map: NDArray[np.floating], mask: NDArray[np.uint8]) -> None:
        """Add the pixels of one image.

        Args:
            score_map: float ``(H, W)`` in [0, 1].
            mask: uint8 ``(H, W)``: 0 background, 1 object, 255 ignored.

        Raises:
            ValueError: shapes differ, a score is outside [0, 1], or the mask has another value.
        """
        self.histograms += self.as_counts(score_histograms(score_map, mask, self.thresholds))

    def compute(self) -> float | None:
        """Return the metric in percent; None if no image had an object pixel."""
        return pxap(self.histograms.cpu().numpy())
