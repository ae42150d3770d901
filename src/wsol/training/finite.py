"""Numbers that are not finite: steps that would bring them into the weights do not count."""

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from wsol.errors import RunError

log = logging.getLogger("wsol")

HALVINGS = 20
"""Steps in a row that float16 may skip besides: its scale begins too high, and each halves it."""


class SkippedSteps:
    """Counts the steps of a training that were skipped, and ends it where they are too many.

    Args:
        out: the run folder, for messages.
        most: steps in a row that end the training.

    >>> skipped = SkippedSteps(Path("run"), most=2)
    >>> skipped.note(7, sound=False)
    >>> skipped.note(8, sound=True)
    >>> skipped.in_epoch, skipped.in_row
    (1, 0)
    """

    def __init__(self, out: Path, most: int) -> None:
        """Count from zero."""
        self.out, self.most = out, most
        self.in_epoch = self.in_row = 0

    def note(self, step: int, sound: bool) -> None:
        """Count a step.

        Args:
            step: its number.
            sound: whether loss and gradients were finite.

        Raises:
            RunError: it is one too many in a row.
        """
        if sound:
            self.in_row = 0
            return
        self.in_row += 1
        self.in_epoch += 1
        log.warning("step %d skipped: the loss or a gradient is not finite", step)
        if self.in_row >= self.most:
            raise RunError(
                f"{self.out}: the loss or a gradient was not finite in {self.in_row} steps in a "
                f"row, up to step {step}: start again with a lower --lr and another --out"
            )


def gradients_are_finite(model: nn.Module) -> bool:
    """Return whether all gradients of a model are finite numbers."""
    gradients = [weight.grad for weight in model.parameters() if weight.grad is not None]
    # Of all in one number, so that a device is waited for once.
    return bool(torch.nn.utils.get_total_norm(gradients).isfinite())


class BufferCopy:
    """What layers note of the pictures they have seen, as it is now.

    Args:
        model: whose buffers they are: means and deviations of batch normalisation. Layers in
            evaluation mode note nothing.

    >>> layer = nn.BatchNorm1d(1)
    >>> before = BufferCopy(layer)
    >>> _ = layer(torch.tensor([[torch.nan], [1.0]]))
    >>> before.restore()
    >>> layer.running_mean
    tensor([0.])
    """

    def __init__(self, model: nn.Module) -> None:
        """Copy it."""
        learning = [layer for layer in model.modules() if layer.training]
        self._copies = [
            (buffer, buffer.clone())
            for layer in learning
            for buffer in layer.buffers(recurse=False)
        ]

    def restore(self) -> None:
        """Put it back."""
        for buffer, copy in self._copies:
            buffer.copy_(copy)


def check_finite(out: Path, step: int, state: Mapping[str, object]) -> None:
    """Refuse to save what is not finite.

    Args:
        out: the run folder, for messages.
        step: steps done.
        state: tensors, and whatever holds some.

    Raises:
        RunError: a number in it is not finite.

    >>> check_finite(Path("run"), 1, {"network": {"w": torch.zeros(2)}})
    """
    if not all(bool(value.isfinite().all()) for value in _tensors(state)):
        raise RunError(
            f"{out}: the weights are not finite after step {step} and were not saved: start again "
            "with a lower --lr and another --out"
        )


def _tensors(state: object) -> Iterator[Tensor]:
    if isinstance(state, Tensor):
        yield state
    elif isinstance(state, Mapping):
        for value in state.values():
            yield from _tensors(value)
    elif isinstance(state, list | tuple):
        for value in state:
            yield from _tensors(value)
