"""From the record of a prediction to other formats."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from wsol.errors import ConfigError
from wsol.formats import About, Writer, check_format, create_writer
from wsol.formats.record import Record
from wsol.localization import Localization
from wsol.lock import Hold


def convert(record: Record, folder: Path, formats: Iterable[str], min_score: float = 0.0) -> None:
    """Write a record in some formats, in one pass, and keep others out of the folder meanwhile.

    Args:
        record: of a prediction.
        folder: to write to; it exists.
        formats: their names.
        min_score: boxes below are left out; their pictures are not.

    Raises:
        ConfigError: no such format, something else is where one would be written, the disk is
            full, or another process writes to the folder.
        DataError: the record cannot be read, or a picture is not where it was.
    """
    try:
        with Hold(folder):
            writers = create_writers(formats, folder, record.about)
            for result in record if writers else ():
                kept = without_low_scores(result, min_score)
                for writer in writers:
                    writer.add(kept)
            for writer in writers:
                writer.close()
    except OSError as error:
        place = error.filename or folder
        raise ConfigError(f"{place}: cannot be written: {error.strerror}") from error


def create_writers(formats: Iterable[str], folder: Path, about: About) -> list[Writer]:
    """Return a writer of each format, without changing anything in the folder.

    Args:
        formats: their names; one that is given twice counts once.
        folder: to write to; it exists.
        about: what all localizations have in common.

    Raises:
        ConfigError: no such format, or something else is where one would be written.
    """
    names = list(dict.fromkeys(formats))
    for name in names:
        check_format(name)
    return [create_writer(name, folder, about) for name in names]


def without_low_scores(result: Localization, min_score: float) -> Localization:
    """Return a localization without its boxes below a score.

    Args:
        result: of one picture.
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
