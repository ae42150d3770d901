"""Boxes and their accuracy are exactly those of the published evaluator.

Four of the 59 maps, noise and a lattice, have tens of thousands of contours, for which one OpenCV
call per level is slow. Of their curves every 29th threshold is compared (boxes, numbers and IoU);
of the other maps all are. The accuracies are compared for all maps and thresholds: there, the
recorded curves stand in for those of the four.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from wsol.maps import IouCurves, best_iou_curves, contours_at, grey_levels
from wsol.maps.contours import threshold_levels
from wsol.maps.curves import clipped_boxes
from wsol.metrics import IOU_LEVELS, LocalizationAccuracy, default_thresholds

SLOW = ("noise", "lattice")
SLOW_STEP = 29
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


def compared(recorded: Recording, index: int, interval: float) -> NDArray[np.int64]:
    """Return which thresholds of a map to compare."""
    count = len(default_thresholds(interval))
    return np.arange(0, count, SLOW_STEP if recorded.names[index] in SLOW else 1)


@pytest.mark.parametrize("interval", INTERVALS)
@pytest.mark.parametrize("index", range(59))
def test_curves_and_boxes(recorded: Recording, index: int, interval: float) -> None:
    """Best IoU by both rules, the chosen box and the number of boxes at each threshold."""
    which = compared(recorded, index, interval)
    thresholds = default_thresholds(interval)[which]
    score_map = recorded.maps[index]

    def answer(name: str) -> NDArray[np.float64]:
        return recorded.answers[name.format(f"interval_{interval}")][index, which]

    curves = best_iou_curves(score_map, recorded.boxes[index], thresholds)
    np.testing.assert_array_equal(curves.largest, answer("largest/{}/best_iou"))
    np.testing.assert_array_equal(curves.all, answer("multi/{}/best_iou"))

    grey = grey_levels(score_map)
    levels, at = np.unique(threshold_levels(grey, thresholds), return_inverse=True)
    found = [contours_at(grey, int(level)) for level in levels]
    chosen = [
        clipped_boxes(contours, grey.shape)[contours.areas.argmax() if contours.areas.size else 0]
        for contours in found
    ]
    np.testing.assert_array_equal(np.array(chosen)[at], answer("largest/{}/boxes"))
    # The published code reports one box, 0 0 0 0, where there is none.
    counts = np.array([max(len(contours.boxes), 1) for contours in found])
    np.testing.assert_array_equal(counts[at], answer("multi/{}/num_boxes"))


@pytest.mark.parametrize("interval", INTERVALS)
def test_accuracies(recorded: Recording, interval: float) -> None:
    """MaxBoxAcc at IoU 30, 50 and 70 by both rules, and MaxBoxAccV2 as the mean of the second."""
    thresholds = default_thresholds(interval)
    metric = LocalizationAccuracy(thresholds)
    answers = recorded.answers
    for index, name in enumerate(recorded.names):
        if name in SLOW:
            curves = IouCurves(
                answers[f"largest/interval_{interval}/best_iou"][index],
                answers[f"multi/interval_{interval}/best_iou"][index],
            )
        else:
            curves = best_iou_curves(recorded.maps[index], recorded.boxes[index], thresholds)
        metric.update(0, curves)
    figures = metric.compute()
    largest = answers[f"largest/interval_{interval}/max_box_acc_30_50_70"]
    multi = answers[f"multi/interval_{interval}/max_box_acc_30_50_70"]
    np.testing.assert_allclose(
        [figures[f"max_box_acc_{level}"] for level in IOU_LEVELS], largest, rtol=1e-14
    )
    by_level = 100 * metric.all.amax(0).numpy() / len(recorded.names)
    np.testing.assert_allclose(by_level, multi, rtol=1e-14)
    np.testing.assert_allclose(figures["max_box_acc_v2"], multi.mean(), rtol=1e-14)
