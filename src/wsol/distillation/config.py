"""Distillation options."""

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
    """Default training options of a student.

    Attributes:
        max_images: maximum number of training images.
        epochs: passes of the head over the images and their mirror images.
        lr: learning rate of the head.
    """

    max_images: int
    epochs: int
    lr: float


# An image has hundreds of positions and one box, so pixels need fewer images; their features
# are on a finer grid, and take more memory.
STUDENT_DEFAULTS: dict[Student, StudentDefaults] = {
    "pixels": StudentDefaults(max_images=5_000, epochs=12, lr=0.005),
    "psol": StudentDefaults(max_images=20_000, epochs=20, lr=0.001),
    "instances": StudentDefaults(max_images=2_000, epochs=10, lr=0.002),
}
"""Default training options of each student."""


@dataclass(frozen=True)
class DistillConfig(Options):
    """Distillation options.

    Args:
        run: run folder of the teacher, or hf:owner/name on the Hub.
        out: run folder to write.
        data: data set folder; default: the run's training data.
        boxes: ground-truth boxes, only used for metrics on val: CSV, COCO JSON, or a folder of
            Pascal VOC or YOLO files; default: the run's, if data is the run's, otherwise boxes.csv
            or boxes.json in the data folder.
        on_bad_annotation: handling of unusable box annotations: fail stops at the first one, skip
            drops each and logs its position and the reason.
        splits: folder of published splits; default: the run's, if data is the run's.
        labels: image labels as CSV or COCO JSON; default: the run's, if data is the run's,
            otherwise those of the data folder.
        split_folders: split folders, as train=FOLDER,test=FOLDER; none treats every folder as a
            class; default: the run's, if data is the run's, otherwise the folders named after
            splits.
        student: kind of student: pixels (object or background per position), psol (one box per
            image) or instances (touching objects, trained on composite images); default: instances
            for multi-label data, otherwise pixels.
        localizer: localizer of the teacher's score maps; default: the run's. If given, the run's
            other localizer options are ignored.
        layers: network modules whose features the teacher reads; default: the run's; with
            --localizer, chosen automatically and logged.
        affinity: network module whose features refine the teacher's maps; default: the run's; with
            --localizer, none.
        flip: average the teacher's maps with those of the flipped image; default: the run's; with
            --localizer, false.
        scales: image sizes to average the teacher's maps over, relative to the run's; default: the
            run's; with --localizer, one size.
        normalization: scaling of the teacher's maps to [0, 1]; default: the run's; with
            --localizer, otsu with threshold auto (minmax for prototypes) and minmax with a number.
        threshold: fraction of a map's maximum above which a pixel belongs to the teacher's object,
            or auto: a separate threshold per map (0.5 for prototypes); default: the run's, if it
            was chosen on boxes, otherwise auto.
        head_layers: network modules whose features the head reads; default: all that the teacher
            reads, including its affinity module.
        max_images: maximum number of training images, sampled evenly from the training split; for
            instances of composite images; default: 5,000 for pixels, 20,000 for psol, 2,000 for
            instances.
        epochs: passes of the head over the images and their mirror images; default: 12 for
            pixels, 20 for psol, 10 for instances.
        lr: learning rate of the head; default: 0.005 for pixels, 0.001 for psol, 0.002 for
            instances.
        weight_decay: weight decay of the head's weights.
        seed: random seed.
        batch_size: images per step.
        num_workers: processes that decode images; 0 decodes in the main process.
        precision: floating-point precision; auto uses the run's, if recorded and supported by the
            hardware.
        device: compute device: auto (a GPU if available), cpu, cuda, cuda:1, mps or xpu.
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
    head_layers: tuple[Name, ...] = ()
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
        """Reject invalid options before anything is loaded."""
        super().__post_init__()
        read_split_folders(self.split_folders)

    @property
    def defaults(self) -> StudentDefaults:
        """Training options: given values, and defaults of the student for the others.

        The student must be set, see ``with_student``.
        """
        options = {name: getattr(self, name) for name in StudentDefaults._fields}
        given = {name: value for name, value in options.items() if value is not None}
        return STUDENT_DEFAULTS[self.student or "pixels"]._replace(**given)
