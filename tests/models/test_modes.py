"""A model that is looked at keeps its mode."""

from threading import Event, Thread

import pytest
from torch import nn

from wsol.models.modes import evaluating


def test_parts_keep_their_own_modes() -> None:
    """After an error as well."""
    model = nn.Sequential(nn.Dropout(), nn.BatchNorm2d(3)).train()
    model[1].eval()
    with evaluating(model):
        assert not any(module.training for module in model.modules())
    with pytest.raises(ValueError, match="invalid"), evaluating(model):
        int("none")
    assert [module.training for module in model.modules()] == [True, True, False]


def test_a_second_thread_does_not_end_evaluation_of_the_first() -> None:
    """Neither is one in training mode before it is done, nor both in evaluation mode after."""
    model, modes = nn.Dropout().train(), []
    first_is_in, second_is_in = Event(), Event()

    def second() -> None:
        first_is_in.wait(10)
        with evaluating(model):
            second_is_in.set()
            modes.append(model.training)

    thread = Thread(target=second)
    thread.start()
    with evaluating(model):
        first_is_in.set()
        # Without a lock the second begins now, and ends later.
        second_is_in.wait(0.2)
        assert not second_is_in.is_set()
        modes.append(model.training)
        with evaluating(model):
            modes.append(model.training)
    thread.join()
    assert modes == [False, False, False]
    assert model.training


def test_threads_share_a_model_that_does_not_train() -> None:
    """None waits for another."""
    model, passed = nn.Dropout().eval(), Event()

    def second() -> None:
        with evaluating(model):
            passed.set()

    with evaluating(model):
        thread = Thread(target=second)
        thread.start()
        assert passed.wait(10)
    thread.join()
