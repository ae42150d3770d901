"""The options of packing."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from wsol.data.split_names import read_split_folders
from wsol.errors import ConfigError
from wsol.options import Name, Options, Range

LEAST = 10_000
"""Bytes; with less, nearly every picture would have a shard of its own."""


@dataclass(frozen=True)
class PackConfig(Options):
    """Options of packing.

    Args:
        data: folder of the data set, of any layout that wsol train takes.
        out: folder to write; it must not exist yet.
        boxes: ground-truth boxes: CSV, COCO JSON, or a folder of Pascal VOC or YOLO; default:
            boxes.csv or boxes.json in the data folder.
        splits: folder of published splits; default: those of the data folder.
        labels: labels as CSV or COCO JSON; default: labels.csv or labels.json in the data folder,
            else those of its folders.
        split_folders: folders that are splits, as train=FOLDER,test=FOLDER; none makes every folder
            a class; default: those named after splits.
        shard_size: bytes after which a new tar file is begun.
    """

    data: Path
    out: Path
    boxes: Path | None = None
    splits: Path | None = None
    labels: Path | None = None
    shard_size: Annotated[int, Range(at_least=LEAST, at_most=10**15)] = 1_000_000_000
    split_folders: tuple[Name, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what cannot work before anything is read."""
        super().__post_init__()
        read_split_folders(self.split_folders)
        if self.out.exists():
            raise ConfigError(f"{self.out}: exists already; use another --out")
