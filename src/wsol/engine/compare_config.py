"""The options of the comparison of localizers."""

from dataclasses import dataclass
from pathlib import Path

from wsol.choices import Normalization, learnt_part
from wsol.data.box_row import OnBad
from wsol.data.split_names import read_split_folders
from wsol.engine.config import Precision
from wsol.engine.hub import is_on_hub
from wsol.errors import ConfigError
from wsol.models.names import BUNDLED_BACKBONE

LOCALIZERS = ("cam", "gradcam", "layercam", "feature_norm", "ddt", "cam*ddt", "feature_norm*ddt")
"""What is compared by default: one of each kind, and products."""


VAL_SHARE = 0.1
"""Of the training images, where neither options nor a run say how many are val."""


@dataclass(frozen=True)
class CompareConfig:
    """Options of the comparison of localizers.

    Args:
        data: folder of the data set, of any layout that wsol train takes.
        out: folder to write.
        boxes: ground-truth boxes: CSV, COCO JSON, or a folder of Pascal VOC or YOLO; default: the
            run's, if the data is, else boxes.csv or boxes.json in the data folder.
        on_bad_annotation: fail ends the command at the first row of boxes that cannot be used; skip
            leaves such rows out, each with a line that says where and why.
        run: a run on this data, a folder or hf:owner/name on the Hub; default: an ImageNet
            network, whose score maps are of the class that it prefers.
        backbone: the ImageNet network where no run is given.
        localizers: names, several with * between them are joined.
        sizes: sides of the network's input in pixels.
        normalizations: how score maps are scaled to [0, 1].
        tap: modules of the network whose features the localizers read; default: found and logged.
        affinities: modules of the network whose features score maps then follow, each in turn; none
            follows nothing, auto finds one.
        flip: average score maps with those of the flipped picture.
        splits: folder of published splits; default: the run's, if the data is.
        labels: labels as CSV or COCO JSON; default: the run's, if the data is, else those of the
            data folder.
        split_folders: folders that are splits, as train=FOLDER,test=FOLDER; none makes every folder
            a class; default: the run's, if the data is, else those named after splits.
        val_share: share of the training images to choose on, where the data set has no val split;
            default: the run's, or 0.1.
        seed: of that choice; default: the run's, or 0.
        save: make the winner the run's own way to read score maps.
        pictures: of the test split in compare.jpg; 0 for none.
        batch_size: images per step.
        workers: processes that decode images; 0 decodes in this one.
        precision: auto is that of the run, or without one bfloat16 where the hardware supports it.
        cpu: stay on the CPU even where there is a GPU.
    """

    data: Path
    out: Path
    boxes: Path | None = None
    on_bad_annotation: OnBad = "fail"
    run: Path | None = None
    backbone: str = BUNDLED_BACKBONE
    localizers: tuple[str, ...] = LOCALIZERS
    sizes: tuple[int, ...] = (224, 448)
    normalizations: tuple[Normalization, ...] = ("minmax", "ivr")
    tap: tuple[str, ...] = ()
    affinities: tuple[str, ...] = ("none", "auto")
    flip: bool = False
    splits: Path | None = None
    labels: Path | None = None
    val_share: float | None = None
    seed: int | None = None
    save: bool = False
    pictures: int = 6
    batch_size: int = 16
    workers: int = 2
    precision: Precision = "auto"
    cpu: bool = False
    split_folders: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what cannot work before anything is loaded."""
        read_split_folders(self.split_folders)
        for option in ("localizers", "sizes", "affinities", "normalizations"):
            if not getattr(self, option):
                raise ConfigError(f"{option} is empty: name at least one")
        if min(self.sizes) < 1:
            raise ConfigError(f"sizes are {list(self.sizes)}: they must be at least 1")
        for student in filter(None, map(learnt_part, self.localizers)):
            raise ConfigError(
                f"{student} cannot be compared: it belongs to a run of wsol distill alone"
            )
        if self.save and self.run is not None and is_on_hub(self.run):
            raise ConfigError(f"save is true, but {self.run} is not a folder here: download it")
        if self.save and self.run is None:
            raise ConfigError("save is true, but there is no run to save the winner in: add --run")
