"""The options of the comparison of localizers."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from wsol.data.annotations.types import OnBad
from wsol.data.split_names import read_split_folders
from wsol.names import BUNDLED_BACKBONE
from wsol.options import (
    BatchSize,
    FractionBelowOne,
    ImageSize,
    Name,
    NonNegativeInt,
    NotEmpty,
    NumWorkers,
    Options,
    Seed,
    no_effect,
    refusal,
)
from wsol.runs.hub import is_on_hub
from wsol.types import Normalization, Precision, SelectBy, learnt_part

LOCALIZERS = ("cam", "gradcam", "layercam", "feature_norm", "ddt", "prototypes")
"""What is compared by default: one of each kind, and the default of prediction."""


VAL_SHARE = 0.1
"""Of the training images, where neither options nor a run say how many are val."""


@dataclass(frozen=True)
class CompareConfig(Options):
    """Options of the comparison of localizers.

    Args:
        data: folder of the data set, of any layout that wsol train takes.
        out: folder to write.
        boxes: ground-truth boxes: CSV, COCO JSON, or a folder of Pascal VOC or YOLO; default: the
            run's, if the data is, else boxes.csv or boxes.json in the data folder.
        on_bad_annotation: fail ends the command at the first row of boxes that cannot be used; skip
            leaves such rows out, each with a line that says where and why.
        run: a run on this data, a folder or hf:owner/name on the Hub; default: a pretrained
            network, whose score maps are of the class that it prefers.
        backbone: the pretrained network where no run is given.
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
        select_by: boxes that candidates are ranked by: ground_truth of val, or pseudo_boxes, which
            need none; figures by ground truth stand beside them where val has some. auto is
            ground_truth where val has some, otherwise pseudo_boxes.
    """

    data: Path
    out: Path
    boxes: Path | None = None
    on_bad_annotation: OnBad = "fail"
    run: Path | None = None
    backbone: Name = BUNDLED_BACKBONE
    localizers: Annotated[tuple[Name, ...], NotEmpty()] = LOCALIZERS
    sizes: Annotated[tuple[ImageSize, ...], NotEmpty()] = (224, 448)
    normalizations: Annotated[tuple[Normalization, ...], NotEmpty()] = ("minmax", "ivr")
    tap: tuple[Name, ...] = ()
    affinities: Annotated[tuple[Name, ...], NotEmpty()] = ("none", "auto")
    flip: bool = False
    splits: Path | None = None
    labels: Path | None = None
    val_share: FractionBelowOne | None = None
    seed: Seed | None = None
    save: bool = False
    pictures: NonNegativeInt = 6
    batch_size: BatchSize = 16
    workers: NumWorkers = 2
    precision: Precision = "auto"
    cpu: bool = False
    split_folders: tuple[Name, ...] = ()
    select_by: SelectBy = "auto"

    def __post_init__(self) -> None:
        """Refuse what cannot work before anything is loaded."""
        super().__post_init__()
        read_split_folders(self.split_folders)
        if self.run is not None and self.backbone != BUNDLED_BACKBONE:
            raise no_effect("backbone", self.backbone, "with a run")
        for student in filter(None, map(learnt_part, self.localizers)):
            raise refusal(
                "localizers", self.localizers, f"remove {student}, which wsol distill alone makes"
            )
        if self.save and self.run is not None and is_on_hub(self.run):
            raise refusal("save", True, f"download {self.run} and pass its folder as --run")
        if self.save and self.run is None:
            raise refusal("save", True, "add --run, the run to save the winner in")
