"""From the record of a prediction to other formats."""

from collections.abc import Iterable
from pathlib import Path

from wsol.formats import create_writer
from wsol.formats.record import Record


def convert(record: Record, folder: Path, formats: Iterable[str]) -> None:
    """Write a record in some formats, in one pass.

    Args:
        record: of a prediction.
        folder: to write to; it exists.
        formats: their names.

    Raises:
        ConfigError: no such format.
    """
    writers = [create_writer(name, folder, record.about) for name in formats]
    if not writers:
        return
    for result in record:
        for writer in writers:
            writer.add(result)
    for writer in writers:
        writer.close()
