"""Images that came one after another to the same prediction."""

import logging
import os
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from wsol._utils.files import write_atomically
from wsol.data.file_index import Names
from wsol.data.given_labels import GivenLabels
from wsol.data.image_names import some
from wsol.errors import ConfigError
from wsol.prediction.inputs import Pictures

SCHEMA = pa.schema([("image", pa.binary()), ("labels", pa.list_(pa.binary()))])
"""One row for each image: its name and those of its classes, as they are on the disk."""

log = logging.getLogger("wsol")


def take_rounds(folder: Path, pictures: Pictures) -> tuple[Pictures, tuple[int, ...]]:
    """Return images in the order in which they came, and how many came together.

    Those that are new are written to a file of their own.

    Args:
        folder: of the files; it is made if it is not there.
        pictures: all images, with their labels.

    Returns:
        The same images in order; classes that came later are behind those that were there.

    Raises:
        ConfigError: an image of an earlier round is gone or has another label, or a file cannot be
            read.

    >>> import tempfile
    >>> labels = GivenLabels(("cat", "dog"), [(1,), (0,)])
    >>> pictures = Pictures(Path("photos"), Names(["a.jpg", "b.jpg"]), labels)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = take_rounds(Path(folder), replace(pictures, names=pictures.names[1:],
    ...         labels=labels[1:]))
    ...     found, rounds = take_rounds(Path(folder), pictures)
    >>> list(found.names), list(found.labels), found.labels.classes, rounds
    (['b.jpg', 'a.jpg'], [(0,), (1,)], ('cat', 'dog'), (1, 1))
    """
    labels = pictures.labels or GivenLabels((), ((),) * len(pictures))
    now = {
        name: [labels.classes[label] for label in own]
        for name, own in zip(pictures.names, labels, strict=True)
    }
    folder.mkdir(exist_ok=True)
    found: list[list[tuple[str, list[str]]]] = []
    while (file := folder / f"round-{len(found):06d}.parquet").exists():
        found.append(_read(file))
    saved = dict(row for rows in found for row in rows)
    instead = "put them back, use another --out, or --overwrite to begin anew"
    if gone := [name for name in saved if name not in now]:
        raise ConfigError(f"{folder.parent}: {len(gone)} images are gone ({some(gone)}): {instead}")
    if changed := [name for name, own in saved.items() if own != now[name]]:
        raise ConfigError(
            f"{folder.parent}: {len(changed)} images have other labels now ({some(changed)}): "
            f"{instead}"
        )
    if new := [(name, own) for name, own in now.items() if name not in saved]:
        if found:
            log.info("%d images are new, %d were there", len(new), len(saved))
        _write(file, new)
        found.append(new)
    classes: dict[str, int] = {}
    for rows in found:
        for name in sorted({name for _, own in rows for name in own}):
            classes.setdefault(name, len(classes))
    rows = [row for of_round in found for row in of_round]
    return replace(
        pictures,
        names=Names(name for name, _ in rows),
        labels=GivenLabels(tuple(classes), ([classes[each] for each in own] for _, own in rows)),
    ), tuple(map(len, found))


def _read(file: Path) -> list[tuple[str, list[str]]]:
    try:
        table = pq.read_table(file)
    except (OSError, pa.ArrowException) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(
            f"{file}: cannot be read: {reason}; use another --out, or --overwrite to begin anew"
        ) from error
    return [
        (os.fsdecode(row["image"]), list(map(os.fsdecode, row["labels"])))
        for row in table.to_pylist()
    ]


def _write(file: Path, rows: list[tuple[str, list[str]]]) -> None:
    content = [
        {"image": os.fsencode(name), "labels": list(map(os.fsencode, own))} for name, own in rows
    ]
    table = pa.Table.from_pylist(content, SCHEMA)
    write_atomically(file, lambda part: pq.write_table(table, part))
