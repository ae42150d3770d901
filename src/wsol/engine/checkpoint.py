"""Checkpoints inside a run: whole, durable, the last two kept."""

from pathlib import Path
from typing import Any

import torch

from wsol.errors import RunError
from wsol.files import write_atomically

KEEP = 2


def checkpoints(folder: Path) -> list[Path]:
    """Return the checkpoint files of a folder, oldest first."""
    return sorted(folder.glob("step_*.pt"))


def save_checkpoint(folder: Path, step: int, state: dict[str, Any]) -> None:
    """Save the state after a step, and drop all but the last two.

    Args:
        folder: exists or is made.
        step: steps done.
        state: tensors, numbers, strings, and lists and dicts of them.

    Raises:
        RunError: the disk is full, or gone; earlier checkpoints stay.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as name:
    ...     for step in (1, 2, 3):
    ...         save_checkpoint(Path(name), step, {"step": step})
    ...     [path.name for path in checkpoints(Path(name))], load_last(Path(name))
    (['step_00000002.pt', 'step_00000003.pt'], {'step': 3})
    """
    folder.mkdir(parents=True, exist_ok=True)
    new = folder / f"step_{step:08d}.pt"
    try:
        write_atomically(new, lambda part: torch.save(state, part))
    except (OSError, RuntimeError) as error:
        # Of a full disk torch only says where it stopped to write.
        raise RunError(
            f"{new}: cannot be written: make room on the disk, and go on with --resume"
        ) from error
    for old in checkpoints(folder)[:-KEEP]:
        old.unlink()


def load_last(folder: Path) -> dict[str, Any] | None:
    """Return the last checkpoint's state, on the CPU, or None where there is none.

    Raises:
        RunError: the file cannot be read.
    """
    found = checkpoints(folder)
    if not found:
        return None
    try:
        state: dict[str, Any] = torch.load(found[-1], map_location="cpu", weights_only=True)
    except Exception as error:
        raise RunError(
            f"{found[-1]}: not a readable checkpoint; delete it to go on from the one before"
        ) from error
    return state
