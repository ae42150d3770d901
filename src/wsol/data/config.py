"""Options of data sets, shared by the commands that open one, and of their preparation."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final, Literal

from wsol.data.names import read_split_folders
from wsol.errors import ConfigError
from wsol.options import Name, Options, Range


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


Checksum = Literal["md5", "none"]

CUB_URL: Final = "https://data.caltech.edu/records/65de6-vp158/files/CUB_200_2011.tgz"
"""Address of the archive at CaltechDATA (record 65de6-vp158)."""


@dataclass(frozen=True)
class CubConfig(Options):
    """Options to prepare CUB-200-2011 from its archive, which is downloaded by default.

    Args:
        out: output folder of the data set.
        archive: path of CUB_200_2011.tgz; default: the archive is downloaded into the output
            folder.
        url: address to download the archive from.
        cubv2: archive of CUBV2, the val images of wsolevaluation; use them with --splits.
        checksum: check of the archive: md5 compares it with the official one, none skips the check.
        verify: check an existing output folder only.
    """

    out: Path
    archive: Path | None = None
    url: Name = CUB_URL
    cubv2: Path | None = None
    checksum: Checksum = "md5"
    verify: bool = False


@dataclass(frozen=True)
class ImagenetConfig(Options):
    """Options to prepare ILSVRC 2012 from its archives.

    The splits are train, test (the official val images) and val (ImageNetV2).

    Args:
        out: output folder of the data set.
        train: path of ILSVRC2012_img_train.tar.
        val: path of ILSVRC2012_img_val.tar; requires boxes, which include the classes, or
            val_labels.
        boxes: path of ILSVRC2012_bbox_val_v3.tgz, the official boxes of the validation images.
        val_labels: text file with one validation image and its class per line, as wnid or as index
            from 0 in the order of the sorted wnids; only needed without boxes.
        imagenetv2: archive of ImageNetV2, such as imagenetv2-threshold0.7.tar.gz.
        imagenetv2_boxes: boxes of ImageNetV2, ImageNetV2_boxes.txt or localization.txt of
            wsolevaluation.
        imagenetv2_names: mapping.txt of wsolevaluation, from the image names in imagenetv2_boxes to
            those in newer archives.
        checksum: check of the archives: md5 compares them with the official ones, none skips the
            check.
        verify: check an existing output folder only.
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
        """Validate the options before anything is read."""
        super().__post_init__()
        if self.verify:
            return
        if not (self.train or self.val or self.imagenetv2):
            raise ConfigError("nothing to prepare; set --train, --val or --imagenetv2")
        if self.val and not (self.boxes or self.val_labels):
            raise ConfigError(
                "val: ILSVRC2012_img_val.tar does not contain the classes; set boxes or val_labels"
            )


@dataclass(frozen=True)
class OpenimagesConfig(Options):
    """Options to prepare OpenImages30k from the archives of wsolevaluation.

    Args:
        archives: paths of OpenImages_images.zip and OpenImages_annotations.zip, or of
            OpenImages30k_eval.zip; tar files are accepted too.
        out: output folder, with the data set in images/ and the masks in masks/.
        verify: check an existing output folder only.
    """

    out: Path
    archives: list[Path] = field(default_factory=list)
    verify: bool = False

    def __post_init__(self) -> None:
        """Validate the options before anything is read."""
        super().__post_init__()
        if not (self.verify or self.archives):
            raise ConfigError("nothing to prepare; set the paths of the archives")


PrepareConfig = CubConfig | ImagenetConfig | OpenimagesConfig


LEAST = 10_000
"""Minimum shard size in bytes; with less, nearly every shard would contain a single image."""


@dataclass(frozen=True)
class PackConfig(DataOptions):
    """Options of packing.

    Args:
        data: folder of the data set, in any layout that wsol train supports.
        out: output folder; it must not exist yet.
        shard_size: size of a tar file in bytes, after which the next one is started.
    """

    data: Path
    out: Path
    shard_size: Annotated[int, Range(at_least=LEAST, at_most=10**15)] = 1_000_000_000

    def __post_init__(self) -> None:
        """Validate the options before anything is read."""
        super().__post_init__()
        if self.out.exists():
            raise ConfigError(f"{self.out}: already exists; use another --out")
