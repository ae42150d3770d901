"""Checkpoints of a run: atomic and durable; the last two are kept."""

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
    """Save the state after a step, and delete all but the last two checkpoints up to it.

    Checkpoints of later steps are deleted too: they exist only if they are damaged, and a training
    that resumes from this step cannot use them. The state consists of tensors, numbers, strings,
    and lists and dicts of them.

    Raises:
        RunError: the disk is full or not available; earlier checkpoints are kept.

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
        # For a full disk, torch's message only has the position in the file.
        raise RunError(
            f"{new}: cannot be written; free disk space, and continue with --resume"
        ) from error
    found = checkpoints(folder)
    kept = [path for path in found if path.name <= new.name][-KEEP:]
    for path in found:
        if path not in kept:
            path.unlink()


def load_last(folder: Path) -> dict[str, Any] | None:
    """Return the state of the last intact checkpoint, on the CPU, or None without checkpoints.

    Damaged checkpoints are logged, and the previous one is used.

    Raises:
        RunError: all checkpoints are damaged.
    """
    found = checkpoints(folder)
    for path in reversed(found):
        try:
            return _load(path)
        except (OSError, RunError) as error:
            log.warning("%s; using the previous checkpoint", error)
    if found:
        raise RunError(f"{found[-1]}: no checkpoint is readable; start again with another --out")
    return None


def _load(path: Path) -> dict[str, Any]:
    try:
        # torch does not verify the checksums that it writes.
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged is None:
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
            return state
    except Exception as error:
        raise_if_out_of_memory(error)
        raise RunError(f"{path}: not a readable checkpoint") from error
    raise RunError(f"{path}: not a readable checkpoint")
