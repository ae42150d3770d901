"""Data set of a run, for evaluation and further training."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Final

from wsol._utils.files import write_atomically
from wsol._utils.names import escape_name
from wsol.data.open import open_data
from wsol.data.samples import Samples
from wsol.errors import ConfigError, DataError
from wsol.runs.config import RunDataOptions
from wsol.runs.hub import local_run
from wsol.runs.run import RunInfo

VAL_LIST: Final = "val_images.txt"
"""File in the run folder with the ids of the val images in order, one per line."""

log = logging.getLogger("wsol")


def write_val_list(folder: Path, val: Samples | None) -> None:
    """Write and log the list of val images; does nothing without a val split."""
    if val is None:
        return
    text = "".join(f"{escape_name(name)}\n" for name in val.ids)
    write_atomically(folder / VAL_LIST, lambda part: part.write_text(text, encoding="utf-8"))
    log.info("val has %d images, listed in %s", len(val), folder / VAL_LIST)


def check_val_list(run: Path, val: Samples) -> None:
    """Warn if val has other images than the run's list, which may have been trained on."""
    file = local_run(run) / VAL_LIST
    if not file.is_file():
        return
    listed = set(file.read_text(encoding="utf-8").splitlines())
    new = [name for name in map(escape_name, val.ids) if name not in listed]
    if new or len(val) < len(listed):
        log.warning(
            "%s: the data set has changed since the training: %d of %d val images are not in %s",
            run,
            len(new),
            len(val),
            file,
        )


def open_run_data(
    options: RunDataOptions,
    info: RunInfo,
    *,
    val_fraction: float | None = None,
    seed: int | None = None,
) -> dict[str, Samples]:
    """Return the splits of a run's data set, or of another one, with the run's class indices.

    Unset options are those of the run; without val_fraction and seed, so is the val split.

    Raises:
        DataError: the data has a class unknown to the run, or is invalid.
        ConfigError: the run has no data set.
    """
    if options.data is None and not info.data:
        raise ConfigError(f"{options.run}: the run has no data set; set --data")
    root = Path(info.data) if options.data is None else options.data
    info = with_data(info, options)
    found = open_data(
        root,
        boxes=info.boxes,
        splits=info.splits,
        labels=info.labels,
        val_fraction=info.val_fraction if val_fraction is None else val_fraction,
        seed=info.seed if seed is None else seed,
        on_bad=options.on_bad_annotation,
        split_folders=info.split_folders,
    )
    is_own = options.data is None and val_fraction is None and seed is None
    if options.run is not None and is_own and "val" in found:
        check_val_list(options.run, found["val"])
    for samples in found.values():
        unknown = [name for name in samples.classes if name not in info.classes]
        if unknown:
            raise DataError(
                f"{root}: the run {options.run} was not trained on class {unknown[0]!r}"
            )
    return {name: samples.with_classes(info.classes) for name, samples in found.items()}


def with_data(info: RunInfo, options: RunDataOptions) -> RunInfo:
    """Return the info of a run with the requested data; unset options are those of the run."""
    data = info.data if options.data is None else str(options.data.resolve())
    is_own = data == info.data
    boxes, splits, labels = map(_resolved, (options.boxes, options.splits, options.labels))
    split_folders = options.split_folders
    if is_own and not (splits or labels):
        # Splits and labels both define the data set, so that setting one replaces both.
        splits, labels = info.splits, info.labels
        split_folders = split_folders or info.split_folders
    return replace(
        info,
        data=data,
        boxes=boxes or (info.boxes if is_own else None),
        splits=splits,
        labels=labels,
        split_folders=split_folders,
    )


def _resolved(path: Path | None) -> str | None:
    return None if path is None else str(path.resolve())
