"""What was found in the uploaded pictures, as a zip of any format."""

import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from wsol.app.storage import Picture
from wsol.formats import About, check_format
from wsol.formats.convert import convert
from wsol.results.localization import Localization
from wsol.results.store import Record, RecordWriter

PIECE = 1 << 16
"""Bytes that are sent at once."""


def zip_formats(
    folder: Path,
    pictures: Sequence[Picture],
    found: Iterable[Localization],
    about: About,
    formats: Sequence[str],
) -> BinaryIO:
    """Return a zip file with what some formats write, open at its start and without a name.

    Args:
        folder: to work in; nothing stays there.
        pictures: whose files are shown to formats that want them.
        found: what was found in them; each ``image_id`` is a relative path of its own.
        about: what they have in common, but for the folder of the pictures.
        formats: their names.

    Raises:
        ConfigError: no such format.
    """
    for name in formats:
        check_format(name)
    with tempfile.TemporaryDirectory(dir=folder) as work:
        images, record, out = (Path(work, name) for name in ("images", "record", "out"))
        for each in (images, record, out):
            each.mkdir()
        for picture in pictures:
            place = images / picture.found.image_id
            place.parent.mkdir(parents=True, exist_ok=True)
            # One that was removed meanwhile is missed by those formats alone that show it.
            with suppress(FileNotFoundError):
                place.hardlink_to(picture.path)
        writer = RecordWriter(record, replace(about, images=images))
        for result in found:
            writer.add(result)
        writer.close()
        convert(Record(record), out, formats)
        with ExitStack() as stack:
            # A file without a name is gone when it is closed, whatever happens.
            file = stack.enter_context(tempfile.TemporaryFile(dir=folder))
            with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
                for path in sorted(out.rglob("*")):
                    if path.is_file():
                        archive.write(path, path.relative_to(out).as_posix())
            file.seek(0)
            stack.pop_all()
    return file


def pieces(file: BinaryIO) -> Iterator[bytes]:
    """Yield a file's content and close it."""
    with file:
        while piece := file.read(PIECE):
            yield piece
