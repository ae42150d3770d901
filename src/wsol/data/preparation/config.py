"""The options of each preparation: one dataclass for Python, YAML and the command line."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final, Literal

from wsol.data.names import read_split_folders
from wsol.errors import ConfigError
from wsol.options import Name, Options, Range

Checksum = Literal["md5", "none"]

CUB_URL: Final = "https://data.caltech.edu/records/65de6-vp158/files/CUB_200_2011.tgz"
"""Where CaltechDATA has the archive (record 65de6-vp158)."""


@dataclass(frozen=True)
class CubConfig(Options):
    """Prepare CUB-200-2011 from its archive, or by download.

    Args:
        out: folder to write; it becomes the data set.
        archive: CUB_200_2011.tgz; default: it is downloaded into the folder.
        url: where to download it.
        cubv2: archive of CUBV2, the val images of wsolevaluation; use them with --splits.
        checksum: md5 compares the archive with the official one; none takes it as it is.
        verify: only check what is in the folder.
    """

    out: Path
    archive: Path | None = None
    url: Name = CUB_URL
    cubv2: Path | None = None
    checksum: Checksum = "md5"
    verify: bool = False


@dataclass(frozen=True)
class ImagenetConfig(Options):
    """Prepare ILSVRC 2012 from its archives: train, test (the official val), and ImageNetV2 as val.

    Args:
        out: folder to write; it becomes the data set.
        train: ILSVRC2012_img_train.tar.
        val: ILSVRC2012_img_val.tar; needs boxes, which say the classes too, or val_labels.
        boxes: ILSVRC2012_bbox_val_v3.tgz, the official boxes of the validation images.
        val_labels: text file with a validation image and its class a line, as wnid or as number
            from 0 in the order of the sorted wnids; where there are no boxes.
        imagenetv2: archive of ImageNetV2, for example imagenetv2-threshold0.7.tar.gz.
        imagenetv2_boxes: its boxes, ImageNetV2_boxes.txt or localization.txt of wsolevaluation.
        imagenetv2_names: mapping.txt of wsolevaluation, from the names in that file to those in
            newer archives.
        checksum: md5 compares the archives with the official ones; none takes them as they are.
        verify: only check what is in the folder.
    """

    out: Path
    train: Path | None = None
    val: Path | None = None
    boxes: Path | None = None
    val_labels: Path | None = None
    imagenetv2: Path | None = None
    imagenetv2_boxes: Path | None = None
    imagenetv2_names: Path | None = None
    checksum: Checksum = "md5"
    verify: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot work before anything is read."""
        super().__post_init__()
        if self.verify:
            return
        if not (self.train or self.val or self.imagenetv2):
            raise ConfigError("nothing to prepare: give --train, --val or --imagenetv2")
        if self.val and not (self.boxes or self.val_labels):
            raise ConfigError(
                "val needs boxes or val_labels: ILSVRC2012_img_val.tar does not say the classes"
            )


@dataclass(frozen=True)
class OpenimagesConfig(Options):
    """Prepare OpenImages30k from the archives of wsolevaluation.

    Args:
        archives: OpenImages_images.zip and OpenImages_annotations.zip, or OpenImages30k_eval.zip;
            as tar files too.
        out: folder to write: images/ becomes the data set, masks/ has the masks.
        verify: only check what is in the folder.
    """

    out: Path
    archives: list[Path] = field(default_factory=list)
    verify: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot work before anything is read."""
        super().__post_init__()
        if not (self.verify or self.archives):
            raise ConfigError("nothing to prepare: give the archives")


PrepareConfig = CubConfig | ImagenetConfig | OpenimagesConfig


LEAST = 10_000
"""Bytes; with less, nearly every image would have a shard of its own."""


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
