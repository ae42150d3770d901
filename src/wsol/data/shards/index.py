"""Index of the images in tar shards, in memory and as a Parquet file."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from wsol._utils.files import write_atomically
from wsol.data.samples import Samples
from wsol.errors import DataError

INDEX: Final = "index.parquet"
_VERSION: Final = 1
_ENCODING: Final = ("utf-8", "surrogatepass")


@dataclass(frozen=True, eq=False)
class ShardIndex:
    """Positions of images in shards: for each image, the number of its shard, offset and size.

    The splits together are all images in this order; they are empty if the labels are unknown, and
    `fault` is then the reason and a fix. Shards are paths below their folder.
    """

    shards: tuple[str, ...]
    ids: tuple[str, ...]
    shard: NDArray[np.int32]
    offset: NDArray[np.int64]
    size: NDArray[np.int64]
    splits: Mapping[str, Samples]
    fault: str = ""


def save_index(root: Path, index: ShardIndex) -> None:
    """Write an index with known labels to the folder of its shards, atomically."""
    every = list(index.splits.values())
    columns: dict[str, pa.Array] = {
        # As bytes, since file names may not be valid text.
        "id": pa.array([name.encode(*_ENCODING) for name in index.ids], pa.binary()),
        "split": pa.array(
            [name for name, samples in index.splits.items() for _ in range(len(samples))]
        ),
        "shard": pa.array(index.shard),
        "offset": pa.array(index.offset),
        "size": pa.array(index.size),
        "label": pa.array(np.concatenate([samples.labels for samples in every])),
    }
    for name in ("boxes", "label_sets", "box_labels"):
        lists = [getattr(samples, name) for samples in every]
        if all(of_split is not None for of_split in lists):
            columns[name] = pa.array([each.ravel() for of_split in lists for each in of_split])
    info = {
        "version": _VERSION,
        "classes": every[0].classes,
        "shards": {name: (root / name).stat().st_size for name in index.shards},
    }
    table = pa.table(columns).replace_schema_metadata({"wsol": json.dumps(info)})
    write_atomically(root / INDEX, lambda part: pq.write_table(table, part, compression="zstd"))


def load_index(root: Path, present: Sequence[str]) -> ShardIndex:
    """Read the index in a folder of shards.

    Raises:
        DataError: the index is damaged, or does not match the present tar files below the folder.
    """
    path = root / INDEX
    try:
        table = pq.read_table(path)
        info = json.loads(table.schema.metadata[b"wsol"])
        if info["version"] != _VERSION:
            raise DataError(
                f"{path}: has version {info['version']}, not {_VERSION}; pack the data set again"
            )
        sizes: dict[str, int] = dict(info["shards"])
        index = _from_table(root, table, tuple(map(str, info["classes"])), tuple(sizes))
        limits = np.array(list(sizes.values()), dtype=np.int64)[index.shard]
        if not bool(np.all((index.offset >= 0) & (index.size >= 0))) or np.any(
            index.offset > limits - index.size
        ):
            raise ValueError("an image lies outside its shard")
    except DataError:
        raise
    except (
        pa.ArrowException,
        OSError,
        LookupError,
        RecursionError,
        TypeError,
        ValueError,
    ) as error:
        reason = " ".join(str(error).split())
        raise DataError(
            f"{path}: not a valid index ({reason}); pack the data set again, or remove the file to "
            "read the shards without it"
        ) from error
    for name, size in sizes.items():
        found = (root / name).stat().st_size if name in present else None
        if found != size:
            has = "is missing" if found is None else f"has {found:,} bytes instead of {size:,}"
            raise DataError(f"{root / name}: {has}; copy it again, or pack the data set again")
    return index


def _from_table(
    root: Path, table: pa.Table, classes: tuple[str, ...], shards: tuple[str, ...]
) -> ShardIndex:
    ids = tuple(name.decode(*_ENCODING) for name in table["id"].to_pylist())
    if not ids or len(set(ids)) < len(ids):
        raise ValueError("no images, or duplicate images")
    split_of = table["split"].to_pylist()
    labels = _numbers(table["label"], np.int64)
    label_sets, box_labels = (
        _lists(table, name, np.int64) for name in ("label_sets", "box_labels")
    )
    boxes = _lists(table, "boxes", np.float64)
    if boxes is not None:
        boxes = tuple(each.reshape(-1, 4) for each in boxes)
        every = np.concatenate([np.empty((0, 4)), *boxes])
        if not (np.isfinite(every).all() and (every >= 0).all()) or np.any(
            every[:, :2] >= every[:, 2:]
        ):
            raise ValueError("a box is not valid")
    whole = Samples(root, ids, labels, classes, boxes, label_sets, box_labels)
    splits: dict[str, Samples] = {}
    begin = 0
    for name, rows in groupby(split_of):
        if name in splits:
            raise ValueError("the splits are mixed")
        end = begin + len(list(rows))
        splits[name] = whole.select(range(begin, end))
        begin = end
    return ShardIndex(
        shards,
        ids,
        _numbers(table["shard"], np.int32),
        _numbers(table["offset"], np.int64),
        _numbers(table["size"], np.int64),
        splits,
    )


def _numbers(column: pa.ChunkedArray, kind: Any) -> NDArray[Any]:
    return np.asarray(column.to_numpy()).astype(kind, casting="same_kind")


def _lists(table: pa.Table, name: str, kind: Any) -> tuple[NDArray[Any], ...] | None:
    """Return the list of each row as an array, or None if the table lacks the column."""
    if name not in table.column_names:
        return None
    column = table[name].combine_chunks()
    values = np.asarray(column.flatten().to_numpy(zero_copy_only=False)).astype(kind)
    ends = np.cumsum(column.value_lengths().to_numpy(zero_copy_only=False))
    return tuple(np.split(values, ends[:-1]))
