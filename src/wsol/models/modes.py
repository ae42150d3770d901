"""Evaluation mode for a while."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock

from torch import nn

_changing = RLock()
"""Held where a model is not in its own mode, which another thread would take for its own."""


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put a model and all its parts in evaluation mode, and back as each was.

    Threads wait for each other where any part is in training.

    >>> model = nn.Sequential(nn.Dropout()).train()
    >>> with evaluating(model):
    ...     model[0].training
    False
    >>> model[0].training
    True
    """
    with _changing:
        training = [module for module in model.modules() if module.training]
        if training:
            model.eval()
            try:
                yield
            finally:
                for module in training:
                    module.training = True
            return
    yield
