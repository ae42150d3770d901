"""Recall per class and per size against a slow loop, and what is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsol.maps import IouCurves
from wsol.metrics import LocalizationRecall

THRESHOLDS = np.array([0.0, 0.3, 0.6])


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.integers(1, 30), st.integers(0, len(THRESHOLDS) - 1))
def test_each_group_is_a_loop_over_its_images(seed: int, count: int, index: int) -> None:
    """At each threshold the share of the group's images whose largest contour reaches IoU 50."""
    random = np.random.default_rng(seed)
    largest = random.integers(0, 101, (count, len(THRESHOLDS))) / 100
    labels, shares = random.integers(0, 4, count), random.integers(0, 101, count) / 100
    metric = LocalizationRecall(num_classes=4, thresholds=THRESHOLDS)
    for curve, label, share in zip(largest, labels.tolist(), shares.tolist(), strict=True):
        metric.update(IouCurves(curve, np.ones_like(curve)), label, share)

    def recall(which: list[bool]) -> float | None:
        right = [
            curve[index] >= 0.5 for curve, chosen in zip(largest, which, strict=True) if chosen
        ]
        return sum(right) / len(right) * 100 if any(which) else None

    found = metric.at(float(THRESHOLDS[index]))
    assert found.by_class == {c: recall((labels == c).tolist()) for c in range(4)}
    assert found.by_size == {
        "small": recall([share < 0.1 for share in shares]),
        "medium": recall([0.1 <= share <= 0.3 for share in shares]),
        "large": recall([share > 0.3 for share in shares]),
    }


def test_the_best_threshold_is_one_for_all_groups() -> None:
    """Two of three images are right at the second threshold, so the third's class has none."""
    metric = LocalizationRecall(num_classes=2, thresholds=THRESHOLDS)
    for row, label in (([0, 1, 0], 0), ([0, 1, 0], 0), ([1, 0, 0], 1)):
        curve = np.array(row, float)
        metric.update(IouCurves(curve, curve), label, share=0.5)
    assert metric.compute().by_class == {0: 100.0, 1: 0.0}


@pytest.mark.parametrize("label", [-1, 2])
def test_an_unknown_label_is_refused(label: int) -> None:
    """A negative label must not count for the last class."""
    curve = np.ones(3)
    metric = LocalizationRecall(num_classes=2, thresholds=THRESHOLDS)
    with pytest.raises(ValueError, match=f"label {label} is out of range for 2 classes"):
        metric.update(IouCurves(curve, curve), label, share=0.5)
