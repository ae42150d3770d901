"""Checkpoints inside a run: whole, durable, the last two kept."""

import logging
import zipfile
from pathlib import Path
from typing import Any

import torch

from wsol._utils.files import write_atomically
from wsol.errors import RunError, raise_if_out_of_memory

log = logging.getLogger("wsol")

KEEP = 2


def checkpoints(folder: Path) -> list[Path]:
    """Return the checkpoint files of a folder, oldest first."""
    return sorted(folder.glob("step_*.pt"))


def save_checkpoint(folder: Path, step: int, state: dict[str, Any]) -> None:
    """Save the state after a step, and drop all but the last two up to it.

    Those of later steps are dropped too: a training that goes on from this step could not use
    them, which only happens where they are damaged.

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
        raise_if_out_of_memory(error)
        # Of a full disk torch only says where it stopped to write.
        raise RunError(
            f"{new}: cannot be written: make room on the disk, and go on with --resume"
        ) from error
    found = checkpoints(folder)
    kept = [path for path in found if path.name <= new.name][-KEEP:]
    for path in found:
        if path not in kept:
            path.unlink()


def load_last(folder: Path) -> dict[str, Any] | None:
    """Return the state of the last checkpoint that is sound, on the CPU, or None without any.

    A damaged one is named in the log, and the one before it is taken.

    Raises:
        RunError: all of them are damaged.
    """
    found = checkpoints(folder)
    for path in reversed(found):
        try:
            return _load(path)
        except (OSError, RunError) as error:
            log.warning("%s: going on from the one before", error)
    if found:
        raise RunError(
            f"{found[-1]}: not a readable checkpoint, nor is one before it; start again with "
            "another --out"
        )
    return None


def _load(path: Path) -> dict[str, Any]:
    try:
        # torch does not look at the checksums that it writes.
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged is None:
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
            return state
    except Exception as error:
        raise_if_out_of_memory(error)
        raise RunError(f"{path}: not a readable checkpoint") from error
    raise RunError(f"{path}: not a readable checkpoint")
