"""Distillation options."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from wsol.inference.config import BoxOptions, ComputeOptions
from wsol.options import (
    Name,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    Seed,
)
from wsol.runs.config import RunDataOptions
from wsol.types import Student


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
class DistillConfig(RunDataOptions, BoxOptions, ComputeOptions):
    """Distillation options.

    Args:
        run: run folder of the teacher, or hf:owner/name on the Hub.
        out: run folder to write; an existing run is refused.
        boxes: ground-truth boxes, only used for metrics on val: CSV, COCO JSON, or a folder of
            Pascal VOC or YOLO files; default: the run's, if data is the run's, otherwise boxes.csv
            or boxes.json in the data folder.
        student: kind of student: pixels (object or background per position), psol (one box per
            image) or instances (touching objects, trained on composite images); default: instances
            for multi-label data, otherwise pixels.
        localizer: localizer of the teacher's score maps; default: the run's. If given, the run's
            other localizer options are ignored.
        head_layers: network modules whose features the head reads; default: all that the teacher
            reads, including its affinity module.
        max_images: maximum number of training images, sampled evenly from the training split; for
            instances of composite images, at most three per image of the split; default: 5,000 for
            pixels, 20,000 for psol, 2,000 for instances.
        epochs: passes of the head over the images and their mirror images; default: 12 for
            pixels, 20 for psol, 10 for instances.
        lr: learning rate of the head; default: 0.005 for pixels, 0.001 for psol, 0.002 for
            instances.
        weight_decay: weight decay of the head's weights.
        seed: random seed.
    """

    run: Path = field()
    out: Path
    student: Student | None = None
    head_layers: tuple[Name, ...] = ()
    max_images: PositiveInt | None = None
    epochs: PositiveInt | None = None
    lr: PositiveFloat | None = None
    weight_decay: NonNegativeFloat = 0.01
    seed: Seed = 0

    @property
    def defaults(self) -> StudentDefaults:
        """Training options: given values, and defaults of the student for the others.

        The student must be set, see ``with_student``.
        """
        options = {name: getattr(self, name) for name in StudentDefaults._fields}
        given = {name: value for name, value in options.items() if value is not None}
        return STUDENT_DEFAULTS[self.student or "pixels"]._replace(**given)
