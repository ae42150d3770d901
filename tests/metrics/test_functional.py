"""Figures as pure functions of curves and counts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsol.metrics.functional import best_threshold, box_hits, default_thresholds, percent


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


def test_percent_is_exact_for_counts() -> None:
    """A count's share is rounded once only."""
    assert [percent(count, 7) for count in (0, 1, 7)] == [0.0, 100 / 7, 100.0]
