"""COCO average precision, and localization recall per class and object size."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from wsol.maps.curves import IouCurves
from wsol.metrics.functional import best_threshold, box_hits, percent
from wsol.metrics.localization import CountMetric


class Boxes(NamedTuple):
    """Boxes of one image.

    Attributes:
        boxes: float64 ``(N, 4)``, x0 y0 x1 y1 in pixels, x1 and y1 on the far edge.
        labels: classes, int64 ``(N,)``.
        scores: float64 ``(N,)``; ignored for ground-truth boxes.
    """

    boxes: NDArray[np.float64]
    labels: NDArray[np.int64]
    scores: NDArray[np.float64]


class AveragePrecision(NamedTuple):
    """Average precision in percent; None without ground-truth boxes.

    Attributes:
        ap: mean over IoU 50 to 95 in steps of 5.
        ap50: at IoU 50.
        ap75: at IoU 75.
    """

    ap: float | None
    ap50: float | None
    ap75: float | None


def box_average_precision(
    predicted: Iterable[Boxes], true: Sequence[Boxes], most_boxes: int = 100
) -> AveragePrecision:
    """Return COCO's average precision, the mean over classes.

    Args:
        predicted: predictions of each image, in the order of ``true``.
        true: ground truth of each image.
        most_boxes: maximum boxes per image, those with the highest scores.

    Raises:
        ValueError: the numbers of images differ.

    Source: Lin et al., Microsoft COCO: Common Objects in Context, ECCV 2014, and its evaluation
    code, as faster-coco-eval computes it.

    >>> box, label, score = np.array([[0.0, 0, 10, 10]]), np.array([3]), np.array([0.5])
    >>> ground_truth = [Boxes(box, label, score)] * 2
    >>> box_average_precision(ground_truth, ground_truth).ap50
    100.0
    >>> found = [ground_truth[0], Boxes(box + 20, label, score)]
    >>> round(box_average_precision(found, ground_truth).ap50, 2)
    50.5
    """
    # Imported here, as few commands need it and it takes long.
    from faster_coco_eval import COCO, COCOeval_faster

    annotations = [
        row | {"id": number, "area": row["bbox"][2] * row["bbox"][3], "iscrowd": 0}
        for number, row in enumerate(_rows(true), 1)
    ]
    if not annotations:
        return AveragePrecision(None, None, None)
    found = list(predicted)
    if len(found) != len(true):
        raise ValueError(f"predicted has {len(found)} images, but true has {len(true)}")
    results = list(_rows(found))
    if not results:
        return AveragePrecision(0.0, 0.0, 0.0)
    ground_truth = COCO(
        {
            "images": [{"id": image} for image in range(1, len(true) + 1)],
            "annotations": annotations,
            "categories": [
                {"id": label, "name": str(label)}
                for label in sorted({row["category_id"] for row in annotations})
            ],
        }
    )
    evaluation = COCOeval_faster(ground_truth, ground_truth.loadRes(results), iouType="bbox")
    evaluation.params.maxDets = [1, 10, most_boxes]
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return AveragePrecision(*(100 * float(evaluation.stats[place]) for place in range(3)))


def _rows(images: Iterable[Boxes]) -> Iterator[dict[str, Any]]:
    """Yield each box as COCO has it: x y width height, with images and classes from one."""
    for image, (boxes, labels, scores) in enumerate(images, 1):
        corners = np.asarray(boxes, np.float64).reshape(-1, 4)
        sizes = np.concatenate((corners[:, :2], corners[:, 2:] - corners[:, :2]), axis=1)
        for box, label, score in zip(sizes.tolist(), labels.tolist(), scores.tolist(), strict=True):
            yield {"image_id": image, "bbox": box, "category_id": label + 1, "score": score}


OBJECT_SIZES = ("small", "medium", "large")
"""Groups of images by the fraction of the image that the largest ground-truth box covers."""

OBJECT_SIZE_EDGES = (0.1, 0.3)
"""Small objects cover less than the first fraction, large ones more than the second."""


def object_share(boxes: NDArray[np.integer | np.floating], size: tuple[int, int]) -> float:
    """Return the fraction of an image covered by its largest ground-truth box, in [0, 1].

    Args:
        boxes: ``(N, 4)``, N >= 1, x0 y0 x1 y1 in pixels of the image, far edge. Boxes are
            clipped to the image.
        size: width and height of the image in pixels.

    >>> object_share(np.array([[0, 0, 2, 2], [5, 0, 12, 5]]), size=(10, 10))
    0.25
    """
    inside = boxes.clip(0, np.tile(np.array(size), 2))
    areas = (inside[:, 2:] - inside[:, :2]).prod(1)
    return float(areas.max() / (size[0] * size[1]))


def object_size(share: float) -> int:
    """Return the index in ``OBJECT_SIZES`` of an object that covers this fraction of its image.

    >>> [OBJECT_SIZES[object_size(share)] for share in (0.09, 0.1, 0.3, 0.31)]
    ['small', 'medium', 'medium', 'large']
    """
    small_below, large_above = OBJECT_SIZE_EDGES
    return int(share >= small_below) + int(share > large_above)


class Recall(NamedTuple):
    """Localization recall per group in percent; None for a group without images.

    Attributes:
        by_class: recall by class index.
        by_size: recall of ``small``, ``medium`` and ``large`` objects.
    """

    by_class: dict[int, float | None]
    by_size: dict[str, float | None]


class LocalizationRecall(CountMetric):
    """Fraction of images whose largest contour reaches IoU 50, per class and per object size.

    The object size is the fraction of the image covered by its largest ground-truth box; the edges
    are ``OBJECT_SIZE_EDGES``.

    Args:
        num_classes: number of classes ``C``. Memory is ``T * C`` counts.
        thresholds: thresholds of the curves, float64 ``(T,)``; default: 1000 thresholds.

    >>> metric = LocalizationRecall(num_classes=2, thresholds=np.array([0.0, 0.5]))
    >>> curve = np.array([0.4, 0.8])
    >>> metric.update(IouCurves(curve, curve), label=1, share=0.2)
    >>> metric.at(threshold=0.5)
    Recall(by_class={0: None, 1: 100.0}, by_size={'small': None, 'medium': 100.0, 'large': None})
    """

    images_by_class: Tensor
    images_by_size: Tensor
    hits_by_class: Tensor
    hits_by_size: Tensor

    def __init__(
        self, num_classes: int, thresholds: NDArray[np.float64] | None = None, **kwargs: Any
    ) -> None:
        """Initialize all counts to zero."""
        super().__init__(thresholds, **kwargs)
        steps, sizes = len(self.thresholds), len(OBJECT_SIZES)
        self.add_counts(
            images_by_class=(num_classes,),
            images_by_size=(sizes,),
            hits_by_class=(steps, num_classes),
            hits_by_size=(steps, sizes),
        )

    def update(self, curves: IouCurves, label: int, share: float) -> None:
        """Add one image with ground-truth boxes.

        Args:
            curves: IoU of its boxes at the thresholds.
            label: index of its ground-truth class.
            share: fraction of the image covered by its largest ground-truth box, in [0, 1], see
                :func:`wsol.metrics.object_share`.

        Raises:
            ValueError: the label is out of range.
        """
        if not 0 <= label < len(self.images_by_class):
            raise ValueError(
                f"label {label} is out of range for {len(self.images_by_class)} classes"
            )
        hits = self.as_counts(box_hits(curves.largest, (50,))[:, 0])
        size = object_size(share)
        self.images_by_class[label] += 1
        self.images_by_size[size] += 1
        self.hits_by_class[:, label] += hits
        self.hits_by_size[:, size] += hits

    def at(self, threshold: float) -> Recall:
        """Return the recall of each group at ``threshold``."""
        index = self.nearest(threshold)
        by_class = _shares(self.hits_by_class[index], self.images_by_class)
        by_size = _shares(self.hits_by_size[index], self.images_by_size)
        return Recall(
            dict(enumerate(by_class)),
            dict(zip(OBJECT_SIZES, by_size, strict=True)),
        )

    def compute(self) -> Recall:
        """Return the recall of each group at the threshold that is best for all images."""
        hits = self.hits_by_size.sum(1).cpu().numpy()
        return self.at(best_threshold(hits, self.thresholds))


def _shares(hits: Tensor, images: Tensor) -> list[float | None]:
    return [percent(*pair) for pair in zip(hits.tolist(), images.tolist(), strict=True)]
