"""Localizations on disk, in parts, from which formats and reports are written."""

import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image

from wsol._utils.concurrency import in_order
from wsol._utils.files import write_atomically, write_json
from wsol._utils.names import escape_name, is_uri, shown, unescape_name, uri_of
from wsol.errors import ConfigError, DataError, ImageError
from wsol.maps.normalize import grey_levels
from wsol.results.localization import Localization, PredictionInfo

SCHEMA = pa.schema(
    [
        ("image_id", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("status", pa.string()),
        ("error", pa.string()),
        ("label", pa.string()),
        ("class_index", pa.int32()),
        ("score", pa.float64()),
        ("boxes", pa.list_(pa.list_(pa.float64(), 4))),
        ("box_scores", pa.list_(pa.float64())),
        ("box_labels", pa.list_(pa.int32())),
        ("heat_map", pa.binary()),
    ]
)
"""One row for each image; ``heat_map`` is a PNG of the map's grey levels, null where it is
empty."""


def to_row(result: Localization) -> dict[str, Any]:
    """Return a localization as a row of ``SCHEMA``.

    Args:
        result: of one image.

    >>> row = to_row(Localization("a.jpg", error=ImageError("a.jpg", "the file is empty")))
    >>> row["status"], str(from_row(row).error)
    ('error', 'a.jpg: the file is empty')
    """
    width, height = result.original_size
    return {
        "image_id": escape_name(result.image_id),
        "width": width,
        "height": height,
        "status": result.status,
        "error": None if result.error is None else escape_name(result.error.reason),
        "label": escape_name(result.label),
        "class_index": result.class_index,
        "score": result.score,
        "boxes": result.boxes.tolist(),
        "box_scores": result.box_scores.tolist(),
        "box_labels": result.box_labels.tolist(),
        "heat_map": encode_map(result.heat_map),
    }


def from_row(row: dict[str, Any]) -> Localization:
    """Return the localization of a row; its map has the grey levels of the one that was written.

    Args:
        row: as ``to_row`` gave it.
    """
    name, reason = unescape_name(row["image_id"]), row["error"]
    return Localization(
        image_id=name,
        original_size=(row["width"], row["height"]),
        label=unescape_name(row["label"]),
        class_index=row["class_index"],
        score=row["score"],
        heat_map=decode_map(row["heat_map"]),
        boxes=np.array(row["boxes"], np.float64).reshape(-1, 4),
        box_scores=np.array(row["box_scores"], np.float64),
        box_labels=np.array(row["box_labels"], np.int64),
        error=None if reason is None else ImageError(name, unescape_name(reason)),
    )


def encode_map(heat_map: NDArray[np.floating]) -> bytes | None:
    """Return a PNG of a map's grey levels, which are all that thresholds and boxes see of it.

    Args:
        heat_map: float ``(H, W)`` in [0, 1]; an empty one gives None.

    >>> decode_map(encode_map(np.array([[0.0, 0.5, 1.0]]))) * 255
    array([[  0., 127., 255.]], dtype=float32)
    """
    if not heat_map.size:
        return None
    png = io.BytesIO()
    Image.fromarray(grey_levels(heat_map)).save(png, "png", compress_level=1)
    return png.getvalue()


def decode_map(png: bytes | None) -> NDArray[np.float32]:
    """Return the map that was encoded, float32 ``(H, W)`` in [0, 1], with the same grey levels.

    Args:
        png: what ``encode_map`` gave.

    >>> decode_map(None).shape
    (0, 0)
    """
    if png is None:
        return np.zeros((0, 0), np.float32)
    grey = np.asarray(Image.open(io.BytesIO(png)))
    return (grey / 255).astype(np.float32)


FOLDER = "localizations"
"""Of the record, in the folder of a prediction."""

INFO = "about.json"
"""What all rows have in common; written last, so that a record with it is whole."""

CHUNK_SIZE = 512
"""Images in one file: what a kill may cost, where they are predicted."""

_ROWS = 64


def chunk_file(folder: Path, chunk: int) -> Path:
    """Return the place of some of a record's rows.

    Args:
        folder: of the prediction.
        chunk: its number, from 0.

    >>> chunk_file(Path("boxes"), 3).as_posix()
    'boxes/localizations/part-000003.parquet'
    """
    return folder / FOLDER / f"part-{chunk:06d}.parquet"


def write_chunk(folder: Path, chunk: int, rows: Sequence[dict[str, Any]]) -> None:
    """Write some of a record's rows, all of them or none.

    Args:
        folder: of the prediction, which has the record's folder.
        chunk: its number, from 0.
        rows: of ``to_row``.

    Raises:
        ConfigError: the disk is full, or gone.
    """
    put_chunk(folder, chunk, pack_part(rows))


def pack_part(rows: Sequence[dict[str, Any]]) -> bytes:
    """Return the content of a file of rows.

    Args:
        rows: of ``to_row``.
    """
    file = io.BytesIO()
    table = pa.Table.from_pylist(rows, SCHEMA)
    # The maps are compressed already.
    pq.write_table(table, file, row_group_size=_ROWS, compression="zstd")
    return file.getvalue()


def put_chunk(folder: Path, chunk: int, content: bytes) -> None:
    """Write a file of rows, whole or not at all.

    Args:
        folder: of the prediction, which has the record's folder.
        chunk: its number, from 0.
        content: of ``pack_part``.

    Raises:
        ConfigError: the disk is full, or gone.
    """
    with _said(folder):
        write_atomically(chunk_file(folder, chunk), lambda file: file.write_bytes(content))


def finish_store(folder: Path, info: PredictionInfo, number: int, chunks: int) -> None:
    """Write what makes a record whole.

    Args:
        folder: of the prediction, with all parts.
        info: what all rows have in common.
        number: of images.
        chunks: number of files.

    Raises:
        ConfigError: the disk is full, or gone.
    """
    content = {
        "number": number,
        "parts": chunks,
        "classes": [escape_name(name) for name in info.classes],
        "images": escape_name(_place(info.images)),
        "threshold": info.threshold,
        "instances": info.instances,
        "model": info.model,
    }
    with _said(folder):
        write_json(folder / FOLDER / INFO, content)


def is_finished(folder: Path) -> bool:
    """Return whether a record is whole.

    Args:
        folder: of the prediction.

    >>> is_finished(Path("no such folder"))
    False
    """
    return (folder / FOLDER / INFO).exists()


class PredictionWriter:
    """Writes localizations to Parquet files of some hundred images each.

    Args:
        folder: of the prediction; it exists. A record that lies there is removed.
        info: what all rows have in common.

    Raises:
        ConfigError: when rows are written, where the disk is full.
    """

    def __init__(self, folder: Path, info: PredictionInfo) -> None:
        """Start with no rows."""
        self.folder, self.info = folder, info
        (folder / FOLDER).mkdir(exist_ok=True)
        (folder / FOLDER / INFO).unlink(missing_ok=True)
        for chunk in (folder / FOLDER).glob("part-*.parquet"):
            chunk.unlink()
        self.rows: list[dict[str, Any]] = []
        self.number = self.chunks = 0

    def add(self, result: Localization) -> None:
        """Add one image."""
        self.rows.append(to_row(result))
        self.number += 1
        if len(self.rows) == CHUNK_SIZE:
            self._write()

    def close(self) -> None:
        """Write the last rows, and then what makes the record whole."""
        if self.rows:
            self._write()
        finish_store(self.folder, self.info, self.number, self.chunks)

    def _write(self) -> None:
        write_chunk(self.folder, self.chunks, self.rows)
        self.rows, self.chunks = [], self.chunks + 1


class PredictionStore:
    """Localizations that a prediction has written: as often as asked for, a few at a time.

    Args:
        folder: of the prediction, as ``wsol predict`` wrote it.
        images: folder of the images, where they have been moved since.

    Attributes:
        info: what all of them have in common.

    Raises:
        DataError: the folder has no whole record, or a file of it cannot be read.

    >>> import tempfile
    >>> from wsol.errors import ImageError
    >>> info = PredictionInfo(("cat",), Path("photos"), threshold=0.2)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     writer = PredictionWriter(Path(folder), info)
    ...     writer.add(Localization("a.jpg", error=ImageError("a.jpg", "the file is empty")))
    ...     writer.close()
    ...     store = PredictionStore(Path(folder))
    ...     [result.status for result in store], len(store), store.info.classes
    (['error'], 1, ('cat',))
    """

    def __init__(self, folder: Path, images: Path | None = None) -> None:
        """Read what all rows have in common."""
        self.folder, path = folder, folder / FOLDER / INFO
        try:
            info = json.loads(path.read_text(encoding="utf-8"))
            self.number, self.chunks = int(info["number"]), int(info["parts"])
            self.info = PredictionInfo(
                classes=tuple(unescape_name(name) for name in info["classes"]),
                images=Path(unescape_name(info["images"])) if images is None else images,
                threshold=float(info["threshold"]),
                instances=str(info["instances"]),
                model=str(info["model"]),
            )
        except FileNotFoundError as error:
            raise DataError(
                f"{folder}: no finished prediction: give the folder that wsol predict --out wrote"
            ) from error
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise DataError(f"{path}: cannot be read: {error}") from error

    def __len__(self) -> int:
        """Return the number of images."""
        return self.number

    def __iter__(self) -> Iterator[Localization]:
        """Yield each image's localization, in the order of the prediction."""
        # Maps are unpacked while whoever asks works on those before.
        yield from in_order(from_row, read_rows(self.folder, range(self.chunks)), threads=2)


def read_rows(
    folder: Path, chunks: Iterable[int], columns: Sequence[str] | None = None
) -> Iterator[dict[str, Any]]:
    """Yield the rows of some parts of a record.

    Args:
        folder: of the prediction.
        chunks: their numbers.
        columns: to read; default: all.

    Raises:
        DataError: a file is missing, or cannot be read.
    """
    for chunk in chunks:
        path = chunk_file(folder, chunk)
        try:
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(_ROWS, columns=columns):
                    yield from batch.to_pylist()
        except (OSError, pa.ArrowException) as error:
            reason = " ".join(str(error).split())
            raise DataError(
                f"{path}: cannot be read: {reason}; remove it and run wsol predict again"
            ) from error


def count_statuses(folder: Path, chunks: Iterable[int]) -> Counter[str]:
    """Return how many images of some parts have which status.

    Args:
        folder: of the prediction.
        chunks: their numbers.
    """
    return Counter(row["status"] for row in read_rows(folder, chunks, ["status"]))


def _place(images: Path) -> str:
    return shown(uri_of(images)) if is_uri(images) else str(images.absolute())


@contextmanager
def _said(folder: Path) -> Iterator[None]:
    """Turn a disk that is full, or gone, into one line."""
    try:
        yield
    except OSError as error:
        raise ConfigError(
            f"{folder / FOLDER}: cannot be written: {error.strerror or error}; what is there is "
            "whole: make room, and run the same command again"
        ) from error
