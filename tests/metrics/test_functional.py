"""Figures as pure functions of curves and counts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsol.metrics.functional import (
    best_threshold,
    box_hits,
    default_thresholds,
    gt_known,
    localization_recall,
    max_box_acc,
    max_box_acc_v2,
    mean_iou,
    percent,
    pxap,
    top_k_loc,
)


@pytest.mark.parametrize(("interval", "count"), [(0.001, 1000), (0.01, 100)])
def test_thresholds_are_multiples_of_the_interval_below_one(interval: float, count: int) -> None:
    """As many thresholds as intervals, none of them 1."""
    thresholds = default_thresholds(interval)
    np.testing.assert_allclose(thresholds, [i * interval for i in range(count)], atol=1e-12)


@given(st.lists(st.integers(0, 100), min_size=1, max_size=20))
def test_a_hit_reaches_its_level_in_whole_percent(curve: list[int]) -> None:
    """An IoU of exactly 30, 50 or 70 % is a hit, one of a percent less is not."""
    hits = box_hits(np.array([value / 100 for value in curve]))
    assert hits.tolist() == [[value >= level for level in (30, 50, 70)] for value in curve]


@given(st.lists(st.integers(0, 4), min_size=1, max_size=30))
def test_best_threshold_is_the_middle_of_the_best(hits: list[int]) -> None:
    """No threshold has more hits, and as many best ones lie below it as above, or one more."""
    thresholds = np.arange(len(hits)) / len(hits)
    chosen = best_threshold(np.array(hits), thresholds)
    best = [t for t, count in zip(thresholds.tolist(), hits, strict=True) if count == max(hits)]
    assert chosen in best
    below, above = sum(t < chosen for t in best), sum(t > chosen for t in best)
    assert 0 <= below - above <= 1


def test_percent_divides_first() -> None:
    """As the published evaluator does, to the last bit: 1 / 7 * 100 is not 100 / 7."""
    assert [percent(count, 7) for count in (0, 1, 7)] == [0.0, 1 / 7 * 100, 100.0]
    assert percent(1, 7) != 100 / 7


@given(st.integers(0, 10**6), st.integers(1, 12), st.integers(1, 5))
def test_box_figures_equal_slow_loops(seed: int, count: int, steps: int) -> None:
    """Every accuracy is a count over images, the best threshold found by trying each."""
    random = np.random.default_rng(seed)
    curves = random.integers(0, 101, (count, steps)) / 100
    ranks = random.integers(-1, 7, count)

    def best(level: float) -> float:
        return max(sum(row[t] >= level for row in curves.tolist()) for t in range(steps)) / count

    for level in (30, 50, 70, 90):
        assert max_box_acc(curves, level) == pytest.approx(100 * best(level / 100), abs=1e-9)
    v2 = (best(0.3) + best(0.5) + best(0.7)) / 3
    assert max_box_acc_v2(curves) == pytest.approx(100 * v2, abs=1e-9)
    pairs = list(zip(curves[:, 0].tolist(), ranks.tolist(), strict=True))
    right = [iou >= 0.5 for iou, _ in pairs]
    assert gt_known(curves[:, 0]) == pytest.approx(100 * sum(right) / count)
    for k in (1, 5):
        named = [iou >= 0.5 and rank in range(k) for iou, rank in pairs]
        assert top_k_loc(curves[:, 0], ranks, k) == pytest.approx(100 * sum(named) / count)


def test_nothing_measured_is_none() -> None:
    """Without images, or without an object pixel, there is no figure rather than zero."""
    none, no_rank = np.zeros(0), np.zeros(0, np.int64)
    assert percent(0, 0) is None
    assert max_box_acc(np.zeros((0, 3))) is None
    assert max_box_acc_v2(np.zeros((0, 3))) is None
    assert [gt_known(none), mean_iou(none), top_k_loc(none, no_rank)] == [None] * 3
    assert localization_recall(none, no_rank, 2) == [None, None]
    assert pxap(np.array([[5, 5, 0], [0, 0, 0]])) is None
