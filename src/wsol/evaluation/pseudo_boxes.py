"""Pseudo-boxes: boxes of the default localizer, for model selection without ground truth."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from wsol.data.annotations.boxes import with_boxes
from wsol.data.samples import Samples
from wsol.errors import DataError
from wsol.formats._files import CsvFile, to_cell
from wsol.inference.localizer import Localizer
from wsol.types import Precision, Reference, SelectBy

MAX_IMAGES: Final = 200
"""Maximum number of images with a pseudo-box; more hardly change the selection."""

PSEUDO_BOXES: Final = "pseudo_boxes.csv"
"""File in the run folder with the pseudo-boxes of val."""

log = logging.getLogger("wsol")


def choose_reference(select_by: SelectBy, splits: Mapping[str, Samples], where: Path) -> Reference:
    """Return the boxes to select by; by default ground truth if val has any, else pseudo-boxes.

    Raises:
        DataError: ground truth is requested, and val has none.
    """
    has_boxes = "val" in splits and splits["val"].has_boxes
    if select_by == "ground_truth" and not has_boxes:
        raise DataError(
            f"{where}: the val split has no boxes; pass --boxes with some of its images, or use "
            "--select_by pseudo_boxes"
        )
    if select_by == "auto":
        return "ground_truth" if has_boxes else "pseudo_boxes"
    return select_by


def add_pseudo_boxes(
    samples: Samples, *, batch_size: int, num_workers: int, precision: Precision, device: str
) -> Samples:
    """Return the samples with pseudo-boxes replacing their boxes.

    A pseudo-box is the box of the bundled ImageNet network without any training, with the default
    localizer and threshold of ``wsol predict``. It is noisy, but agreement with many of them
    indicates which of several localizers is correct more often. At most `MAX_IMAGES` images get
    one, sampled evenly. Multi-label images get none, as the class of the box is unknown.

    Args:
        samples: any number of images.
        batch_size: images per step.
        num_workers: processes that decode images.
        precision: precision of the bundled network.
        device: compute device: auto (a GPU if available), cpu, cuda, cuda:1, mps or xpu.

    Source: Murtaza et al., A Realistic Protocol for Evaluation of Weakly Supervised Object
    Localization, WACV 2025, section 3, whose pseudo-boxes come from Selective Search, an RPN or
    CLIP.
    """
    single = [index for index in range(len(samples)) if len(samples.labels_of(index)) == 1]
    count = min(len(single), MAX_IMAGES)
    chosen = [single[index * len(single) // count] for index in range(count)]
    log.info("predicting pseudo-boxes for %d of %d images", count, len(samples))
    locate = Localizer(
        batch_size=batch_size, num_workers=num_workers, precision=precision, device=device
    )
    boxes = [np.empty((0, 4))] * len(samples)
    paths = [samples.path(index) for index in chosen]
    for index, found in zip(chosen, locate(paths), strict=True):
        boxes[index] = found.boxes[:1]
    return replace(samples, boxes=tuple(boxes), box_labels=None)


def write_pseudo_boxes(folder: Path, samples: Samples) -> None:
    """Write boxes as CSV in full precision; names are escaped as in ``predictions.csv``."""
    file = CsvFile(folder, ("image_id", "class", "x0", "y0", "x1", "y1"))
    for index, name in enumerate(samples.ids):
        label = samples.classes[samples.labels[index]]
        for box in samples.own_boxes(index).tolist():
            file.add([to_cell(name), to_cell(label), *box])
    file.close(folder / PSEUDO_BOXES)


def read_pseudo_boxes(folder: Path, samples: Samples) -> Samples:
    """Return the samples with the pseudo-boxes of a run folder instead of their boxes.

    Raises:
        DataError: the file is invalid.

    >>> from tempfile import TemporaryDirectory
    >>> boxes = (np.array([[0.1, 2.0, 30.0, 40.0]]),)
    >>> val = Samples(Path("birds"), ("a.jpg",), np.array([0]), ("crow",), boxes)
    >>> with TemporaryDirectory() as name:
    ...     write_pseudo_boxes(Path(name), val)
    ...     read_pseudo_boxes(Path(name), replace(val, boxes=None)).boxes
    (array([[ 0.1,  2. , 30. , 40. ]]),)
    """
    return with_boxes({"val": samples}, folder / PSEUDO_BOXES)["val"]
