"""Folders that wsol writes: found inside a folder of images, they are not input."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

_MARKS: Final[tuple[tuple[str, ...], ...]] = (
    # What a command is writing to, see wsol._utils.locks.
    (".wsol-lock",),
    # A run, and a training or distillation that has not finished.
    ("model.json", "model.safetensors"),
    ("config.yaml", "checkpoints"),
    ("metrics.csv", "metrics.jsonl"),
    # A prediction, and its record alone.
    ("localizations/plan.json",),
    ("localizations/about.json",),
    ("plan.json", "part-000000.parquet"),
    ("about.json", "part-000000.parquet"),
    # An annotation that has not finished.
    ("annotate.yaml", "rounds"),
    # A report, a comparison, an evaluation of score maps, and the demo.
    ("index.html", "data/index.js"),
    ("compare.json", "compare.csv"),
    ("metrics.json", "images.csv", "curve.csv"),
    ("data/boxes.csv", "cam/config.yaml", "adl/config.yaml"),
    # Packed data sets and formats of several files.
    ("index.parquet", "train-000000.tar"),
    ("index.parquet", "test-000000.tar"),
    ("annotations.json", "predictions.json"),
    ("predictions.parquet",),
)
"""Files of each kind of folder; all of one line are there."""

_STARTS: Final = {
    "images.csv": b'"image_id","file","status","error"',
    "predictions.csv": b'"image_id","width","height","status"',
    "config.yaml": b"data: ",
}
"""Files with usual names that mark a folder by how they begin."""

_OVERLAYS: Final = "pictures"
"""Folder in that of a prediction or the demo; nothing in it tells where it comes from."""


def is_output(exists: Callable[[str], bool], start: Callable[[str], bytes]) -> bool:
    """Return whether wsol has written a folder: a run, prediction, report, export or the like.

    This is the one place that knows what these folders contain.

    Args:
        exists: Whether a path below the folder exists.
        start: Returns the first bytes of a file in it.

    >>> is_output({"model.json", "model.safetensors"}.__contains__, lambda name: b"")
    True
    >>> is_output({"a.jpg", "config.yaml"}.__contains__, lambda name: b"lr: 1")
    False
    """
    return any(all(map(exists, names)) for names in _MARKS) or any(
        exists(name) and start(name).startswith(mark) for name, mark in _STARTS.items()
    )


def is_output_folder(folder: Path) -> bool:
    """Return whether wsol has written a folder of this machine, see `is_output`.

    Args:
        folder: Any folder.

    >>> is_output_folder(Path("no such folder"))
    False
    """
    if folder.name == _OVERLAYS and is_output_folder(folder.parent):
        return True
    return is_output(lambda name: _exists(folder / name), lambda name: _start(folder / name))


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        # The folder cannot be searched; listing it says so.
        return False


def _start(file: Path) -> bytes:
    try:
        with file.open("rb") as content:
            return content.read(64)
    except OSError:
        return b""
