"""Conversion of stored predictions to other formats."""

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from wsol._utils.files import FolderLock
from wsol.errors import ConfigError
from wsol.formats import PredictionInfo, Writer, create_writer
from wsol.results.localization import Localization
from wsol.results.store import PredictionStore

log = logging.getLogger("wsol")


@dataclass
class Conversion:
    """Counts of written boxes, and of boxes that were left out for a low score.

    Attributes:
        min_score: minimum score of a box.
        boxes: number of written boxes.
        boxes_left_out: number of boxes that were left out.
        images_left_empty: number of images whose boxes were all left out.
        highest: highest score of the boxes that were left out.
    """

    min_score: float
    boxes: int = 0
    boxes_left_out: int = 0
    images_left_empty: int = 0
    highest: float = 0.0

    def kept(self, results: Iterable[Localization]) -> Iterator[Localization]:
        """Yield localizations without boxes below the minimum score, and count boxes."""
        for result in results:
            kept = without_low_scores(result, self.min_score)
            self.boxes += len(kept.boxes)
            if len(kept.boxes) < len(result.boxes):
                self.boxes_left_out += len(result.boxes) - len(kept.boxes)
                self.images_left_empty += not len(kept.boxes)
                left = result.box_scores[result.box_scores < self.min_score]
                self.highest = max(self.highest, float(left.max()))
            yield kept


def convert(
    store: PredictionStore,
    folder: Path,
    formats: Iterable[str],
    min_score: float = 0.0,
    options: Mapping[str, Any] | None = None,
) -> Conversion:
    """Write stored predictions in some formats, in one pass, with the output folder locked.

    A warning is logged if no box is written.

    Args:
        store: store of the prediction.
        folder: existing output folder.
        formats: names of the formats.
        min_score: minimum score of a box; boxes with a lower score are left out, their images are
            kept.
        options: options of the formats by name, see ``create_writer``.

    Raises:
        ConfigError: a format is unknown, its output would replace other files, the disk is full,
            or another process writes to the folder.
        DataError: the store cannot be read, or an image has been moved.
    """
    done = Conversion(min_score)
    try:
        with FolderLock(folder):
            writers = create_writers(formats, folder, store.info, options)
            for result in done.kept(store) if writers else ():
                for writer in writers:
                    writer.add(result)
            for writer in writers:
                writer.close()
    except OSError as error:
        place = error.filename or folder
        raise ConfigError(f"{place}: cannot be written: {error.strerror}") from error
    if done.boxes_left_out and not done.boxes:
        log.warning(
            "%s: all %d boxes are below min_score %g (the highest score is %.3f); use a lower "
            "--min_score",
            folder,
            done.boxes_left_out,
            min_score,
            done.highest,
        )
    elif writers and not done.boxes:
        log.warning("%s: no image has a box", folder)
    return done


def create_writers(
    formats: Iterable[str],
    folder: Path,
    info: PredictionInfo,
    options: Mapping[str, Any] | None = None,
) -> list[Writer]:
    """Create the writer of each format, without changing anything in the folder.

    Args:
        formats: names of the formats; duplicates are ignored.
        folder: existing output folder.
        info: information on the prediction.
        options: options of the formats by name.

    Raises:
        ConfigError: a format is unknown, or its output would replace other files.
    """
    return [create_writer(name, folder, info, options) for name in dict.fromkeys(formats)]


def without_low_scores(result: Localization, min_score: float) -> Localization:
    """Return a localization without the boxes below a minimum score.

    Args:
        result: localization of an image.
        min_score: minimum score in [0, 1].

    >>> import numpy as np
    >>> result = Localization("a.jpg", (8, 6), boxes=np.ones((2, 4)),
    ...     box_scores=np.array([0.9, 0.1]), box_labels=np.zeros(2, int))
    >>> without_low_scores(result, 0.5).box_scores.tolist()
    [0.9]
    """
    kept = result.box_scores >= min_score
    if kept.all():
        return result
    return replace(
        result,
        boxes=result.boxes[kept],
        box_scores=result.box_scores[kept],
        box_labels=result.box_labels[kept],
    )
