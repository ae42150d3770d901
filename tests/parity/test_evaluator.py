"""Boxes and their accuracy are exactly those of the published evaluator, at every threshold."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from wsol.maps import IouCurves, best_iou_curves, boxes_at, grey_levels, iou_curves
from wsol.maps.normalize import threshold_levels
from wsol.metrics import IOU_LEVELS, LocalizationAccuracy, default_thresholds

INTERVALS = (0.01, 0.001)


class Recording(NamedTuple):
    """What the published evaluator was given, and its answers by name."""

    maps: NDArray[np.float32]
    boxes: list[NDArray[np.int64]]
    names: list[str]
    answers: dict[str, NDArray[np.float64]]


@pytest.fixture(scope="session")
def recorded(parity: Path) -> Recording:
    """Return maps, true boxes and answers."""
    with np.load(parity / "wsolevaluation_evaluator.npz") as file:
        content = dict(file)
    ends = np.cumsum(content["gt_boxes_count"])[:-1]
    boxes = np.split(content["gt_boxes_flat"].astype(np.int64), ends)
    # Every float16 times 255 is exact in float32, the type of wsol's own maps.
    maps = content["maps"].astype(np.float32)
    return Recording(maps, boxes, content["names"].tolist(), content)


@pytest.mark.parametrize("interval", INTERVALS)
@pytest.mark.parametrize("index", range(59))
def test_curves_and_boxes(recorded: Recording, index: int, interval: float) -> None:
    """Best IoU by both rules, the chosen box and the number of boxes at each threshold."""
    thresholds = default_thresholds(interval)
    score_map = recorded.maps[index]

    def answer(name: str) -> NDArray[np.float64]:
        return recorded.answers[name.format(f"interval_{interval}")][index]

    curves = iou_curves(score_map, recorded.boxes[index], thresholds)
    np.testing.assert_array_equal(curves.largest, answer("largest/{}/best_iou"))
    np.testing.assert_array_equal(curves.all, answer("multi/{}/best_iou"))

    levels = threshold_levels(grey_levels(score_map), thresholds)
    _, first, at = np.unique(levels, return_index=True, return_inverse=True)
    chosen, counts = [], []
    for threshold in thresholds[first]:
        # The published boxes end at the last pixel, and where there is none it has 0 0 0 0.
        largest = boxes_at(score_map, threshold, "largest")
        chosen.append(np.minimum(largest[0], 223) if len(largest) else np.zeros(4))
        counts.append(max(len(boxes_at(score_map, threshold)), 1))
    np.testing.assert_array_equal(np.array(chosen)[at], answer("largest/{}/boxes"))
    np.testing.assert_array_equal(np.array(counts)[at], answer("multi/{}/num_boxes"))


@pytest.mark.parametrize("interval", INTERVALS)
def test_accuracies(recorded: Recording, interval: float) -> None:
    """MaxBoxAcc at IoU 30, 50 and 70 by both rules, and MaxBoxAccV2 as the mean of the second."""
    thresholds = default_thresholds(interval)
    metric = LocalizationAccuracy(thresholds)
    answers = recorded.answers
    curves = best_iou_curves(recorded.maps, recorded.boxes, thresholds)
    for largest, best in zip(*curves, strict=True):
        metric.update(0, IouCurves(largest, best))
    figures = metric.compute()
    chosen = answers[f"largest/interval_{interval}/max_box_acc_30_50_70"]
    multi = answers[f"multi/interval_{interval}/max_box_acc_30_50_70"]
    assert [figures[f"max_box_acc_{level}"] for level in IOU_LEVELS] == chosen.tolist()
    by_level = metric.all.amax(0).numpy() / len(recorded.names) * 100
    assert by_level.tolist() == multi.tolist()
    np.testing.assert_allclose(figures["max_box_acc_v2"], multi.mean(), rtol=1e-14)
