"""The record of a prediction: every localization, whole, to make other formats and reports of."""

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image

from wsol.errors import ConfigError, DataError, ImageError
from wsol.files import write_atomically, write_json
from wsol.formats.about import About
from wsol.formats.portable import original, portable
from wsol.localization import Localization
from wsol.maps.levels import grey_levels

FOLDER = "localizations"
"""Of the record, in the folder of a prediction."""

ABOUT = "about.json"
"""What all rows have in common; written last, so that a record with it is whole."""

SHARD = 1_000
"""Pictures in one file."""

_ROWS = 64

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
"""One row for each picture; ``heat_map`` is a PNG of the map's grey levels, null where it is
empty."""


class RecordWriter:
    """Writes localizations to Parquet files of a thousand pictures each.

    Args:
        folder: of the prediction; it exists. A record that lies there is removed.
        about: what all rows have in common.

    Raises:
        ConfigError: when rows are written, where the disk is full.
    """

    def __init__(self, folder: Path, about: About) -> None:
        """Start with no rows."""
        self.folder, self.about = folder / FOLDER, about
        self.folder.mkdir(exist_ok=True)
        (self.folder / ABOUT).unlink(missing_ok=True)
        for part in self.folder.glob("part-*.parquet"):
            part.unlink()
        self.rows: list[dict[str, Any]] = []
        self.number = self.shards = 0

    def add(self, result: Localization) -> None:
        """Add one picture."""
        width, height = result.image_size
        self.rows.append(
            {
                "image_id": portable(result.image_id),
                "width": width,
                "height": height,
                "status": result.status,
                "error": None if result.error is None else portable(result.error.reason),
                "label": portable(result.label),
                "class_index": result.class_index,
                "score": result.score,
                "boxes": result.boxes.tolist(),
                "box_scores": result.box_scores.tolist(),
                "box_labels": result.box_labels.tolist(),
                "heat_map": encode_map(result.heat_map),
            }
        )
        self.number += 1
        if len(self.rows) == SHARD:
            self._write()

    def close(self) -> None:
        """Write the last rows, and then what makes the record whole."""
        if self.rows:
            self._write()
        about = {
            "number": self.number,
            "classes": [portable(name) for name in self.about.classes],
            "images": portable(str(self.about.images.absolute())),
            "threshold": self.about.threshold,
            "objects": self.about.objects,
            "model": self.about.model,
        }
        with self._said():
            write_json(self.folder / ABOUT, about)

    def _write(self) -> None:
        table = pa.Table.from_pylist(self.rows, SCHEMA)
        path = self.folder / f"part-{self.shards:05d}.parquet"
        with self._said():
            # The maps are compressed already.
            write_atomically(
                path,
                lambda part: pq.write_table(table, part, row_group_size=_ROWS, compression="zstd"),
            )
        self.rows, self.shards = [], self.shards + 1

    @contextmanager
    def _said(self) -> Iterator[None]:
        """Turn a disk that is full, or gone, into one line."""
        try:
            yield
        except OSError as error:
            reason = error.strerror or error
            raise ConfigError(
                f"{self.folder}: cannot be written after {self.number} pictures: {reason}"
            ) from error


class Record:
    """Localizations that a prediction has written: as often as asked for, a few at a time.

    Args:
        folder: of the prediction, as ``wsol predict`` wrote it.
        images: folder of the pictures, where they have been moved since.

    Attributes:
        about: what all of them have in common.

    Raises:
        DataError: the folder has no whole record, or a file of it cannot be read.

    >>> import tempfile
    >>> about = About(("cat",), Path("photos"), threshold=0.2)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     writer = RecordWriter(Path(folder), about)
    ...     writer.add(Localization("a.jpg", error=ImageError("a.jpg", "the file is empty")))
    ...     writer.close()
    ...     record = Record(Path(folder))
    ...     [result.status for result in record], len(record), record.about.classes
    (['error'], 1, ('cat',))
    """

    def __init__(self, folder: Path, images: Path | None = None) -> None:
        """Read what all rows have in common."""
        self.folder = folder / FOLDER
        try:
            about = json.loads((self.folder / ABOUT).read_text(encoding="utf-8"))
            self.number = int(about["number"])
            self.about = About(
                classes=tuple(original(name) for name in about["classes"]),
                images=Path(original(about["images"])) if images is None else images,
                threshold=float(about["threshold"]),
                objects=str(about["objects"]),
                model=str(about["model"]),
            )
        except FileNotFoundError as error:
            raise DataError(
                f"{folder}: no finished prediction: give the folder that wsol predict --out wrote"
            ) from error
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise DataError(f"{self.folder / ABOUT}: cannot be read: {error}") from error

    def __len__(self) -> int:
        """Return the number of pictures."""
        return self.number

    def __iter__(self) -> Iterator[Localization]:
        """Yield each picture's localization, in the order of the prediction."""
        for part in sorted(self.folder.glob("part-*.parquet")):
            try:
                with pq.ParquetFile(part) as file:
                    for batch in file.iter_batches(_ROWS):
                        for row in batch.to_pylist():
                            yield self._localization(row)
            except (OSError, pa.ArrowException) as error:
                reason = " ".join(str(error).split())
                raise DataError(f"{part}: cannot be read: {reason}; predict again") from error

    def _localization(self, row: dict[str, Any]) -> Localization:
        name, reason = original(row["image_id"]), row["error"]
        return Localization(
            image_id=name,
            image_size=(row["width"], row["height"]),
            label=original(row["label"]),
            class_index=row["class_index"],
            score=row["score"],
            heat_map=decode_map(row["heat_map"]),
            boxes=np.array(row["boxes"], np.float64).reshape(-1, 4),
            box_scores=np.array(row["box_scores"], np.float64),
            box_labels=np.array(row["box_labels"], np.int64),
            error=None if reason is None else ImageError(name, original(reason)),
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
