"""Store of localizations on disk, in chunks, from which formats and reports are written."""

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
"""Schema with one row per image; ``heat_map`` is a gray PNG of the map, null if it is empty."""


def to_row(result: Localization) -> dict[str, Any]:
    """Convert a localization to a row of ``SCHEMA``."""
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
    """Convert a row to a localization, whose map has the gray levels of the original."""
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
    """Encode a map ``(H, W)`` in [0, 1] as a gray PNG; None if it is empty.

    Thresholds and boxes only depend on its 256 gray levels.
    """
    if not heat_map.size:
        return None
    png = io.BytesIO()
    Image.fromarray(grey_levels(heat_map)).save(png, "png", compress_level=1)
    return png.getvalue()


def decode_map(png: bytes | None) -> NDArray[np.float32]:
    """Decode a map, float32 ``(H, W)`` in [0, 1], with the gray levels of the original."""
    if png is None:
        return np.zeros((0, 0), np.float32)
    grey = np.asarray(Image.open(io.BytesIO(png)))
    return (grey / 255).astype(np.float32)


FOLDER = "localizations"
"""Folder of the store, in the output folder of a prediction."""

INFO = "info.json"
"""File with the information on the prediction; it is written last and completes the store."""

CHUNK_SIZE = 512
"""Images per file."""

_ROWS = 64


def chunk_file(folder: Path, chunk: int) -> Path:
    """Return the path of a chunk's file in the output folder of a prediction."""
    return folder / FOLDER / f"chunk-{chunk:06d}.parquet"


def write_chunk(folder: Path, chunk: int, rows: Sequence[dict[str, Any]]) -> None:
    """Write the rows of a chunk atomically, see ``put_chunk``."""
    put_chunk(folder, chunk, pack_part(rows))


def pack_part(rows: Sequence[dict[str, Any]]) -> bytes:
    """Return the content of a chunk's file with rows of ``to_row``."""
    file = io.BytesIO()
    table = pa.Table.from_pylist(rows, SCHEMA)
    # The maps are already compressed.
    pq.write_table(table, file, row_group_size=_ROWS, compression="zstd")
    return file.getvalue()


def put_chunk(folder: Path, chunk: int, content: bytes) -> None:
    """Write the content of a chunk's file, a result of ``pack_part``, atomically.

    Raises:
        ConfigError: the disk is full or not available.
    """
    with _said(folder):
        write_atomically(chunk_file(folder, chunk), lambda file: file.write_bytes(content))


def finish_store(folder: Path, info: PredictionInfo, number: int, chunks: int) -> None:
    """Write the file that completes a store with some number of images and chunks.

    Raises:
        ConfigError: the disk is full or not available.
    """
    content = {
        "number": number,
        "chunks": chunks,
        "classes": [escape_name(name) for name in info.classes],
        "images": escape_name(_place(info.images)),
        "threshold": info.threshold,
        "instances": info.instances,
        "model": info.model,
    }
    with _said(folder):
        write_json(folder / FOLDER / INFO, content)


def is_finished(folder: Path) -> bool:
    """Return whether the store in the output folder of a prediction is complete."""
    return (folder / FOLDER / INFO).exists()


class PredictionWriter:
    """Writes localizations to a store.

    Args:
        folder: existing output folder of the prediction. An existing store is removed.
        info: information on the prediction.

    Raises:
        ConfigError: the disk is full; raised by ``add`` and ``close``.
    """

    def __init__(self, folder: Path, info: PredictionInfo) -> None:
        """Create an empty store."""
        self.folder, self.info = folder, info
        (folder / FOLDER).mkdir(exist_ok=True)
        (folder / FOLDER / INFO).unlink(missing_ok=True)
        for chunk in (folder / FOLDER).glob("chunk-*.parquet"):
            chunk.unlink()
        self.rows: list[dict[str, Any]] = []
        self.number = self.chunks = 0

    def add(self, result: Localization) -> None:
        """Add an image."""
        self.rows.append(to_row(result))
        self.number += 1
        if len(self.rows) == CHUNK_SIZE:
            self._write()

    def close(self) -> None:
        """Write the last rows, and complete the store."""
        if self.rows:
            self._write()
        finish_store(self.folder, self.info, self.number, self.chunks)

    def _write(self) -> None:
        write_chunk(self.folder, self.chunks, self.rows)
        self.rows, self.chunks = [], self.chunks + 1


class PredictionStore:
    """Stored localizations of a prediction, which can be iterated repeatedly with little memory.

    Args:
        folder: output folder of ``wsol predict``.
        images: folder of the images, if they have been moved since the prediction.

    Attributes:
        info: information on the prediction.

    Raises:
        DataError: the store is not complete, or a file cannot be read.

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
        """Read the information on the prediction."""
        self.folder, path = folder, folder / FOLDER / INFO
        try:
            info = json.loads(path.read_text(encoding="utf-8"))
            self.number, self.chunks = int(info["number"]), int(info["chunks"])
            self.info = PredictionInfo(
                classes=tuple(unescape_name(name) for name in info["classes"]),
                images=Path(unescape_name(info["images"])) if images is None else images,
                threshold=float(info["threshold"]),
                instances=str(info["instances"]),
                model=str(info["model"]),
            )
        except FileNotFoundError as error:
            raise DataError(
                f"{folder}: no finished prediction; use the output folder of wsol predict"
            ) from error
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise DataError(f"{path}: cannot be read: {error}") from error

    def __len__(self) -> int:
        """Return the number of images."""
        return self.number

    def __iter__(self) -> Iterator[Localization]:
        """Yield the localization of each image, in the order of the prediction."""
        # Maps are decoded in threads while the caller processes earlier ones.
        yield from in_order(from_row, read_rows(self.folder, range(self.chunks)), threads=2)


def read_rows(
    folder: Path, chunks: Iterable[int], columns: Sequence[str] | None = None
) -> Iterator[dict[str, Any]]:
    """Yield the rows of some chunks, with all or some columns.

    Raises:
        DataError: a file is missing or cannot be read.
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
    """Count the images of some chunks by status."""
    return Counter(row["status"] for row in read_rows(folder, chunks, ["status"]))


def _place(images: Path) -> str:
    return shown(uri_of(images)) if is_uri(images) else str(images.absolute())


@contextmanager
def _said(folder: Path) -> Iterator[None]:
    """Convert errors of a full or unavailable disk to ConfigError."""
    try:
        yield
    except OSError as error:
        raise ConfigError(
            f"{folder / FOLDER}: cannot be written: {error.strerror or error}; free disk space, "
            "and run the same command to resume"
        ) from error
