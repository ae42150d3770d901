"""Evaluation protocols: image transforms, scoring of maps and reported metrics."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from wsol.data.transforms import CenterCropTransform, EvalTransform, Transform
from wsol.errors import ConfigError
from wsol.localizers.config import Thresholding
from wsol.maps import IouCurves, box_iou, iou_curves, normalize, scale_boxes
from wsol.maps.adl2019 import THRESHOLDS, fixed_boxes, gray_heat_map
from wsol.metrics import LocalizationAccuracy
from wsol.metrics.functional import default_thresholds
from wsol.types import Normalization

RunMetrics = dict[str, float | int | None]


class Report(NamedTuple):
    """Metrics of one split; see ``wsol.evaluation.evaluate.Evaluation``."""

    metrics: RunMetrics
    at_best_threshold: RunMetrics
    threshold_from: str
    columns: dict[str, RunMetrics]


class EvaluationProtocol(ABC):
    """Base class of evaluation protocols.

    Attributes:
        transform: function from an image to the network's input.
        thresholds: float64 ``(T,)``, increasing.
        localizer: the only localizer that the protocol supports; None for any.
        localizer_options: options for ``create_localizer``.
        metrics_file: file name of the metrics in the run folder.
    """

    transform: Transform
    thresholds: NDArray[np.float64]
    localizer: str | None = None
    localizer_options: Mapping[str, Any] = MappingProxyType({})
    metrics_file = "metrics.json"

    @abstractmethod
    def score(
        self,
        score_map: NDArray[np.float32],
        boxes: NDArray[np.float64],
        original_size: tuple[int, int],
    ) -> IouCurves:
        """Return the IoU of a map's boxes with the ground-truth boxes at each threshold.

        Args:
            score_map: raw map at the size of the network's input, ``(H, W)``.
            boxes: ground-truth boxes, ``(N, 4)``, N >= 1, x0 y0 x1 y1 in pixels of the image.
            original_size: width and height of the image in pixels.
        """

    @abstractmethod
    def report(
        self, counts: Sequence[LocalizationAccuracy], thresholding: Thresholding, split: str
    ) -> Report:
        """Return the metrics of a split.

        Args:
            counts: counts of the split; in WSOLEval also those with a threshold per map, if known.
            thresholding: localizer options and threshold of the run.
            split: name of the split.
        """


class WSOLEval(EvaluationProtocol):
    """Protocol of Choe et al.: whole images, every threshold, any of the ground-truth boxes.

    Args:
        size: side of the network's input in pixels.
        normalization: normalization of score maps to [0, 1].
        thresholds: thresholds to evaluate, float64 ``(T,)``, increasing; default: 1000 thresholds.

    Source: Choe et al., Evaluating Weakly Supervised Object Localization Methods Right, CVPR
    2020, section 3.2.

    >>> score_map = np.zeros((8, 8), np.float32)
    >>> score_map[2:5, 2:5] = 1
    >>> WSOLEval(8).score(score_map, np.array([[4.0, 4.0, 10.0, 10.0]]), (16, 16)).largest[[0, 500]]
    array([1., 1.])
    """

    def __init__(
        self,
        size: int,
        normalization: Normalization = "minmax",
        thresholds: NDArray[np.float64] | None = None,
    ) -> None:
        """Set transform and thresholds."""
        self.transform = EvalTransform(size)
        self.normalization: Normalization = normalization
        self.thresholds = default_thresholds() if thresholds is None else thresholds

    def score(
        self,
        score_map: NDArray[np.float32],
        boxes: NDArray[np.float64],
        original_size: tuple[int, int],
    ) -> IouCurves:
        """Return the IoU of the largest and of the best contour at each threshold."""
        scaled, _ = normalize(score_map, self.normalization)
        height, width = scaled.shape
        ground_truth = scale_boxes(boxes, original_size, (width, height))
        return iou_curves(scaled, ground_truth.astype(np.int64), self.thresholds)

    def report(
        self, counts: Sequence[LocalizationAccuracy], thresholding: Thresholding, split: str
    ) -> Report:
        """Return the metrics at the run's threshold and at the split's best one."""
        metric, *auto = counts
        threshold, source = thresholding.threshold, thresholding.threshold_from
        best_threshold = metric.best_threshold()
        metrics = metric.at(threshold)
        best = metric.at(threshold if best_threshold is None else best_threshold)
        for own in auto:
            at_own = own.at(float(own.thresholds[0]))
            if source == "auto":
                metrics |= {name: at_own[name] for name in THRESHOLD_FIGURES}
            for figures in (metrics, best):
                figures["gt_known_auto"] = at_own["gt_known"]
        columns = {
            "threshold auto" if source == "auto" else f"threshold from {source}": metrics,
            f"best threshold on {split} (for comparison only)": best,
        }
        return Report(metrics, best, source, columns)


class ADL2019(EvaluationProtocol):
    """Protocol of the ADL authors: center crop, coloured heat map, seven fixed thresholds.

    Args:
        size: side of the network's input in pixels; images are first resized to 32 more.
        normalization: ``minmax``, as published.

    Raises:
        ConfigError: another normalization is given.

    Source: Choe & Shim, CVPR 2019, section 4.1, and the authors' published code.

    >>> protocol, score_map = ADL2019(224), np.zeros((224, 224), np.float32)
    >>> score_map[100:200, 100:200] = 1
    >>> ground_truth = np.array([[116.0, 116.0, 216.0, 216.0], [0.0, 0.0, 20.0, 20.0]])
    >>> protocol.score(score_map, ground_truth, (256, 256)).largest.tolist()
    [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    """

    localizer = "cam"
    localizer_options = MappingProxyType({"interpolation": "bilinear"})
    metrics_file = "metrics-adl2019.json"

    def __init__(self, size: int, normalization: Normalization = "minmax") -> None:
        """Set transform and thresholds."""
        if normalization != "minmax":
            raise ConfigError(
                f"normalization is {normalization}: the protocol adl2019 scales maps by their "
                "minimum and maximum; use --normalization minmax, or another --protocol"
            )
        self.transform = self.crop = CenterCropTransform(size, size + 32)
        self.thresholds = np.array(THRESHOLDS)

    def score(
        self,
        score_map: NDArray[np.float32],
        boxes: NDArray[np.float64],
        original_size: tuple[int, int],
    ) -> IouCurves:
        """Return the IoU of the box with the first ground-truth box per threshold, twice."""
        ground_truth = self.crop.move_boxes(boxes[:1], original_size).astype(np.int64)
        ious = box_iou(fixed_boxes(gray_heat_map(score_map)), ground_truth)[:, 0]
        return IouCurves(ious, ious)

    def report(
        self, counts: Sequence[LocalizationAccuracy], thresholding: Thresholding, split: str
    ) -> Report:
        """Return the metrics at all thresholds, of which the paper reports the best."""
        (metric,) = counts
        whole = {key: metric.at(0.0)[key] for key in WHOLE_FIGURES}
        columns = {}
        for threshold in self.thresholds.tolist():
            figures = metric.at(threshold)
            columns[f"{threshold:.2f}"] = whole | {key: figures[key] for key in FIXED_FIGURES}
        metrics = whole | {
            f"{key}_at_{name}": figures[key]
            for key in FIXED_FIGURES
            for name, figures in columns.items()
        }
        best = max(columns.values(), key=lambda figures: figures["top1_loc"] or 0.0)
        return Report(metrics, best, "protocol", columns)


THRESHOLD_FIGURES = ("gt_known", "top1_loc", "top5_loc", "threshold")
"""Metrics at one threshold for all images."""

WHOLE_FIGURES = ("top1_cls", "top5_cls", "num_images", "num_with_ground_truth", "num_error")
"""Metrics that do not depend on the threshold, and numbers of images."""

FIXED_FIGURES = ("gt_known", "top1_loc")
"""Metrics at each threshold."""

PROTOCOLS: dict[str, type[WSOLEval] | type[ADL2019]] = {"wsoleval": WSOLEval, "adl2019": ADL2019}
"""Protocol name to class, created with the size of the network's input."""
