"""Options of data sets, shared by the commands that open one."""

from dataclasses import dataclass
from pathlib import Path

from wsol.data.names import read_split_folders
from wsol.options import Name, Options


@dataclass(frozen=True, kw_only=True)
class DataOptions(Options):
    """Options of a data set.

    Args:
        boxes: ground-truth boxes: CSV, COCO JSON, or a folder of Pascal VOC or YOLO files; default:
            boxes.csv or boxes.json in the data folder.
        splits: folder of published splits: wsolevaluation metadata or the ADL authors' label files;
            default: the splits of the data folder.
        labels: image labels as CSV or COCO JSON, any number per image; default: labels.csv or
            labels.json in the data folder, otherwise the names of its folders.
        split_folders: split folders, as train=FOLDER,test=FOLDER; none treats every folder as a
            class; default: the folders named after splits.
    """

    boxes: Path | None = None
    splits: Path | None = None
    labels: Path | None = None
    split_folders: tuple[Name, ...] = ()

    def __post_init__(self) -> None:
        """Reject invalid options before anything is read."""
        super().__post_init__()
        read_split_folders(self.split_folders)
