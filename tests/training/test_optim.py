"""The learning rate over a training."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsol.training.optim import lr_factor

PROGRESS = st.floats(0, 1)


@given(st.integers(0, 104), st.integers(1, 50))
def test_step_divides_at_30_60_and_90_of_105_epochs(epoch: int, steps: int) -> None:
    """With the paper's 105 epochs, the tenths come with the first step of epochs 30, 60 and 90."""
    expected = 10.0 ** -((epoch >= 30) + (epoch >= 60) + (epoch >= 90))
    for step in {0, steps - 1}:
        progress = (epoch * steps + step) / (105 * steps)
        assert lr_factor("step", progress) == pytest.approx(expected)


@given(st.integers(0, 49), st.integers(1, 50))
def test_step_divides_at_the_given_milestones(epoch: int, steps: int) -> None:
    """The re-evaluation's 50 epochs: tenths come after 14, 29 and 44 of them."""
    expected = 10.0 ** -((epoch >= 14) + (epoch >= 29) + (epoch >= 44))
    for step in {0, steps - 1}:
        progress = (epoch * steps + step) / (50 * steps)
        assert lr_factor("step", progress, (0.28, 0.58, 0.88)) == pytest.approx(expected)


@given(PROGRESS)
def test_onecycle_rises_to_one_then_falls_to_zero(progress: float) -> None:
    """Linear up to a tenth of the training, then half a cosine."""
    expected = (
        10 * progress if progress < 0.1 else math.cos(math.pi / 2 * (progress - 0.1) / 0.9) ** 2
    )
    assert lr_factor("onecycle", progress) == pytest.approx(expected, abs=1e-12)


def test_onecycle_has_no_jump() -> None:
    """Between two near steps the factor hardly moves, around the top too."""
    factors = [lr_factor("onecycle", i / 1000) for i in range(1001)]
    assert max(abs(a - b) for a, b in itertools.pairwise(factors)) < 0.0101
    assert max(factors) == 1
    assert factors[0] == 0
    assert factors[-1] == pytest.approx(0, abs=1e-12)
