"""Average precision of boxes with classes and scores, as detectors are measured."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster
from numpy.typing import NDArray


class Boxes(NamedTuple):
    """Boxes of one picture.

    Attributes:
        boxes: float64 ``(N, 4)``, x0 y0 x1 y1 in pixels, x1 and y1 on the far edge.
        labels: int64 ``(N,)``, classes.
        scores: float64 ``(N,)``; of true boxes it is not looked at.
    """

    boxes: NDArray[np.float64]
    labels: NDArray[np.int64]
    scores: NDArray[np.float64]


class AveragePrecision(NamedTuple):
    """Figures in percent; None where there are no true boxes.

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
        predicted: of each picture, in the order of ``true``.
        true: of each picture.
        most_boxes: boxes of a picture that count, those with the highest scores.

    Raises:
        ValueError: not as many pictures predicted as true.

    Source: Lin et al., Microsoft COCO: Common Objects in Context, ECCV 2014, and its evaluation
    code, as faster-coco-eval computes it.

    >>> box, label, score = np.array([[0.0, 0, 10, 10]]), np.array([3]), np.array([0.5])
    >>> truth = [Boxes(box, label, score)] * 2
    >>> box_average_precision(truth, truth).ap50
    100.0
    >>> round(box_average_precision([truth[0], Boxes(box + 20, label, score)], truth).ap50, 2)
    50.5
    """
    annotations = [
        _row(image, box, label) | {"id": number, "area": box[2] * box[3], "iscrowd": 0}
        for number, (image, box, label, _) in enumerate(_flat(true), 1)
    ]
    if not annotations:
        return AveragePrecision(None, None, None)
    found = list(predicted)
    if len(found) != len(true):
        raise ValueError(f"{len(found)} pictures are predicted, and {len(true)} are true")
    results = [
        _row(image, box, label) | {"score": score} for image, box, label, score in _flat(found)
    ]
    if not results:
        return AveragePrecision(0.0, 0.0, 0.0)
    truth = COCO(
        {
            "images": [{"id": image} for image in range(1, len(true) + 1)],
            "annotations": annotations,
            "categories": [
                {"id": label, "name": str(label)}
                for label in sorted({row["category_id"] for row in annotations})
            ],
        }
    )
    evaluation = COCOeval_faster(truth, truth.loadRes(results), iouType="bbox")
    evaluation.params.maxDets = [1, 10, most_boxes]
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return AveragePrecision(*(100 * float(evaluation.stats[place]) for place in range(3)))


def _flat(pictures: Iterable[Boxes]) -> Iterable[tuple[int, list[float], int, float]]:
    """Yield picture, x y width height, class and score of each box, counted from one."""
    for image, (boxes, labels, scores) in enumerate(pictures, 1):
        corners = np.asarray(boxes, np.float64).reshape(-1, 4)
        sizes = np.concatenate((corners[:, :2], corners[:, 2:] - corners[:, :2]), axis=1)
        for box, label, score in zip(sizes.tolist(), labels.tolist(), scores.tolist(), strict=True):
            yield image, box, label + 1, score


def _row(image: int, box: list[float], label: int) -> dict[str, Any]:
    return {"image_id": image, "bbox": box, "category_id": label}
