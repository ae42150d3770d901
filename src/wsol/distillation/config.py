"""The options of distillation."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from wsol.data.annotations.types import OnBad
from wsol.data.names import read_split_folders
from wsol.options import (
    BatchSize,
    Device,
    Name,
    NonNegativeFloat,
    NumWorkers,
    Options,
    PositiveFloat,
    PositiveInt,
    Scale,
    Seed,
    Threshold,
)
from wsol.types import Normalization, Precision, Student


class StudentDefaults(NamedTuple):
    """How much a head learns, and how fast.

    Attributes:
        max_images: to learn from at most.
        epochs: passes of the head over the images and their mirror images.
        lr: learning rate of the head.
    """

    max_images: int
    epochs: int
    lr: float


# An image has hundreds of places and one box, so that pixels need fewer images; their features
# are on a finer grid, and take more room.
STUDENT_DEFAULTS: dict[Student, StudentDefaults] = {
    "pixels": StudentDefaults(max_images=5_000, epochs=12, lr=0.005),
    "psol": StudentDefaults(max_images=20_000, epochs=20, lr=0.001),
    "instances": StudentDefaults(max_images=2_000, epochs=10, lr=0.002),
}
"""What is good for each student, where nothing else is asked for."""


@dataclass(frozen=True)
class DistillConfig(Options):
    """Options of distillation.

    Args:
        run: the run folder of the teacher, or hf:owner/name on the Hub.
        out: the run folder to write.
        data: folder of the data set; default: the one that the run was trained on.
        boxes: ground-truth boxes: CSV, COCO JSON, or a folder of Pascal VOC or YOLO, to measure
            on val alone; default: the run's, if the data is, else boxes.csv or boxes.json in the
            data folder.
        on_bad_annotation: fail ends the command at the first row of boxes that cannot be used; skip
            leaves such rows out, each with a line that says where and why.
        splits: folder of published splits; default: the run's, if the data is.
        labels: labels as CSV or COCO JSON; default: the run's, if the data is, else those of the
            data folder.
        split_folders: folders that are splits, as train=FOLDER,test=FOLDER; none makes every folder
            a class; default: the run's, if the data is, else those named after splits.
        student: what learns: pixels, which places belong to objects; psol, one box an image;
            instances, which objects touch, from composed images; default: instances where images
            have several labels, otherwise pixels.
        localizer: makes the teacher's score maps; default: the run's. One that is given leaves
            nothing of the run's own reading.
        layers: modules of the network whose features the teacher reads; default: the run's; with
            --localizer, found and logged.
        affinity: a module of the network whose features the teacher's maps then follow; default:
            the run's; with --localizer, none.
        flip: average the teacher's maps with those of the flipped image; default: the run's; with
            --localizer, false.
        scales: average the teacher's maps over images of these sizes, as shares of the run's;
            default: the run's; with --localizer, the image as it is.
        normalization: how the teacher's maps are scaled to [0, 1]; default: the run's; with
            --localizer, otsu with threshold auto (minmax for prototypes) and minmax with a number.
        threshold: fraction of a map's maximum above which a pixel belongs to the teacher's object,
            or auto: each map's own, and 0.5 for prototypes; default: the run's where it was chosen
            on boxes, otherwise auto.
        head_layer: modules of the network whose features the head sees; default: all that the
            teacher reads and its maps follow.
        max_images: to learn from at most, taken evenly from the training split; for instances
            composed images; default: 5,000 for pixels, 20,000 for psol, 2,000 for instances.
        epochs: passes of the head over the images and their mirror images; default: 12 for
            pixels, 20 for psol, 10 for instances.
        lr: learning rate of the head; default: 0.005 for pixels, 0.001 for psol, 0.002 for
            instances.
        weight_decay: of the head's weights.
        seed: of everything drawn by chance.
        batch_size: images per step.
        num_workers: processes that decode images; 0 decodes in this one.
        precision: auto is that of the run, if it is known and the hardware supports it.
        device: auto (a GPU where there is one), cpu, cuda, cuda:1, mps or xpu.
    """

    run: Path
    out: Path
    data: Path | None = None
    boxes: Path | None = None
    on_bad_annotation: OnBad = "fail"
    splits: Path | None = None
    labels: Path | None = None
    student: Student | None = None
    localizer: Name | None = None
    layers: tuple[Name, ...] = ()
    affinity: str = ""
    flip: bool = False
    scales: tuple[Scale, ...] = ()
    normalization: Normalization | None = None
    threshold: Threshold | None = None
    head_layer: tuple[Name, ...] = ()
    max_images: PositiveInt | None = None
    epochs: PositiveInt | None = None
    lr: PositiveFloat | None = None
    weight_decay: NonNegativeFloat = 0.01
    seed: Seed = 0
    batch_size: BatchSize = 16
    num_workers: NumWorkers = 2
    precision: Precision = "auto"
    device: Device = "auto"
    split_folders: tuple[Name, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what cannot work before anything is loaded."""
        super().__post_init__()
        read_split_folders(self.split_folders)

    @property
    def defaults(self) -> StudentDefaults:
        """What is asked for, and for the rest what is good for the student.

        The student is known, see ``with_student``.
        """
        options = {name: getattr(self, name) for name in StudentDefaults._fields}
        given = {name: value for name, value in options.items() if value is not None}
        return STUDENT_DEFAULTS[self.student or "pixels"]._replace(**given)
