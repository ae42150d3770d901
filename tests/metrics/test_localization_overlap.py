"""Mean IoU: close to the plain mean, the same in any order, at any threshold."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from wsol.maps import IouCurves
from wsol.metrics import MeanIoU, mean_iou
from wsol.metrics.functional import IOU_UNIT, fixed_point

THRESHOLDS = np.array([0.0, 0.25, 0.5])
IOUS = st.lists(st.floats(0, 1), min_size=1, max_size=50)


def metric_of(rows: NDArray[np.float64]) -> MeanIoU:
    """Return the metric after one image for each row; other contours fit perfectly."""
    metric = MeanIoU(THRESHOLDS)
    for row in rows:
        metric.update(IouCurves(largest=row, all=np.ones_like(row)))
    return metric


@given(IOUS)
def test_the_mean_is_within_its_rounding(ious: list[float]) -> None:
    """The exact mean of fractions is no further off than 1e-9 percent."""
    exact = 100 * sum(map(Fraction, ious)) / len(ious)
    found = mean_iou(np.array(ious))
    assert found is not None
    assert abs(Fraction(found) - exact) < Fraction(1, 10**9)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10**6), st.integers(1, 40))
def test_no_order_changes_a_bit(seed: int, count: int) -> None:
    """Shuffled images give the same bits, at every threshold."""
    random = np.random.default_rng(seed)
    rows = random.random((count, len(THRESHOLDS)))
    metric, shuffled = metric_of(rows), metric_of(random.permutation(rows))
    for index, threshold in enumerate(THRESHOLDS.tolist()):
        assert metric.at(threshold) == shuffled.at(threshold) == mean_iou(rows[:, index])


def test_the_extremes_are_exact_and_fit() -> None:
    """0, 1 and halves are exact, and a hundred million images of IoU 1 do not overflow."""
    assert fixed_point(np.array([0.0, 0.5, 1.0])).tolist() == [0, 2**35, 2**36]
    assert np.iinfo(np.int64).max > 10**8 * IOU_UNIT


def test_compute_is_the_greatest_and_at_the_nearest() -> None:
    """The best threshold has a mean of 60 %, and 0.3 is read at 0.25."""
    metric = metric_of(np.array([[0.1, 0.4, 1.0], [0.1, 0.8, 0.0]]))
    assert metric.compute() == pytest.approx(60, abs=1e-9)
    assert metric.at(0.3) == metric.at(0.25) == metric.compute()
    assert metric.at(0.5) == 50.0


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_without_images_there_is_no_mean() -> None:
    """Nothing measured is not zero percent."""
    assert (MeanIoU().compute(), MeanIoU().at(0.2), mean_iou(np.zeros(0))) == (None, None, None)
