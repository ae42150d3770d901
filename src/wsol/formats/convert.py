"""From the record of a prediction to other formats."""

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from wsol._utils.files import FolderLock
from wsol.errors import ConfigError
from wsol.formats import PredictionInfo, Writer, check_format, create_writer
from wsol.results.localization import Localization
from wsol.results.store import PredictionStore

log = logging.getLogger("wsol")


@dataclass
class Conversion:
    """What a conversion has written, and what it left out for its low score.

    Attributes:
        min_score: boxes below were left out.
        boxes: number of boxes that were written.
        boxes_left_out: number of boxes that were not.
        images_left_empty: number of images that had boxes, all of which were left out.
        highest: the highest score of any box that was left out.
    """

    min_score: float
    boxes: int = 0
    boxes_left_out: int = 0
    images_left_empty: int = 0
    highest: float = 0.0

    def kept(self, results: Iterable[Localization]) -> Iterator[Localization]:
        """Yield localizations without their boxes below the score, and count both."""
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
    """Write a record in some formats, in one pass, and keep others out of the folder meanwhile.

    Where not one box is written, a line in the log says so.

    Args:
        store: of a prediction.
        folder: to write to; it exists.
        formats: their names.
        min_score: boxes below are left out; their images are not.
        options: of formats, by name, see ``create_writer``.

    Raises:
        ConfigError: no such format, something else is where one would be written, the disk is
            full, or another process writes to the folder.
        DataError: the record cannot be read, or an image is not where it was.
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
            "%s: all %d boxes were left out, as min_score is %g and the highest score is %.3f; "
            "use a lower --min_score",
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
    """Return a writer of each format, without changing anything in the folder.

    Args:
        formats: their names; one that is given twice counts once.
        folder: to write to; it exists.
        info: what all localizations have in common.
        options: of formats, by name.

    Raises:
        ConfigError: no such format, or something else is where one would be written.
    """
    names = list(dict.fromkeys(formats))
    for name in names:
        check_format(name)
    return [create_writer(name, folder, info, options) for name in names]


def without_low_scores(result: Localization, min_score: float) -> Localization:
    """Return a localization without its boxes below a score.

    Args:
        result: of one image.
        min_score: in [0, 1].

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
