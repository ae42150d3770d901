"""MaxBoxAcc and MaxBoxAccV2: one threshold for all images, the right contour, any level."""

import numpy as np
import pytest

from wsol.maps import IouCurves
from wsol.metrics import MaxBoxAcc, MaxBoxAccV2

THRESHOLDS = np.array([0.0, 0.5])
CURVES = [
    IouCurves(largest=np.array([0.7, 0.0]), all=np.array([0.7, 0.5])),
    IouCurves(largest=np.array([0.0, 0.5]), all=np.array([0.2, 0.5])),
    IouCurves(largest=np.array([0.4, 0.0]), all=np.array([0.4, 0.0])),
]


@pytest.mark.parametrize(("level", "right"), [(30, 2), (40, 2), (50, 1), (70, 1), (71, 0)])
def test_largest_contours_at_one_threshold(level: int, right: int) -> None:
    """Two images that are right at different thresholds do not add up."""
    metric = MaxBoxAcc(level, THRESHOLDS)
    for curves in CURVES:
        metric.update(curves)
    assert metric.compute() == right / 3 * 100


def test_v2_is_the_mean_over_levels_of_any_contour() -> None:
    """At IoU 30, 50 and 70 two, two and one of three are right, at separate thresholds."""
    metric = MaxBoxAccV2(THRESHOLDS)
    for curves in CURVES:
        metric.update(curves)
    assert metric.compute() == (2 + 2 + 1) / 9 * 100


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
@pytest.mark.parametrize("metric", [MaxBoxAcc(), MaxBoxAccV2()])
def test_without_images_there_is_no_figure(metric: MaxBoxAcc | MaxBoxAccV2) -> None:
    """Nothing measured is not zero percent."""
    assert metric.compute() is None
