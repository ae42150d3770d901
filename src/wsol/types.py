"""What an option chooses from, apart from the code that does it, which takes long to import."""

from typing import Literal, get_args

ContourRule = Literal["all", "largest"]
"""Which contours of a map give boxes."""

Precision = Literal["auto", "fp32", "bf16", "fp16"]
"""What networks compute in; auto: what the hardware has."""

Schedule = Literal["step", "onecycle"]
"""Of the learning rate."""

Normalization = Literal["minmax", "max", "pas", "ivr", "otsu"]
"""How a score map is scaled to [0, 1], see ``wsol.maps.normalize``."""

Number = Literal["one", "several"]
"""Boxes of a class in a picture: around the largest contour, or of each object of the map."""

Student = Literal["pixels", "psol", "instances"]
"""Localizers that learn in ``wsol distill``, and belong to the runs that it makes alone."""

Reference = Literal["ground_truth", "pseudo_boxes"]
"""Boxes that score maps are compared with in order to choose among them."""

SelectBy = Literal["auto", "ground_truth", "pseudo_boxes"]
"""The reference as an option; ``auto`` takes ground truth where the val split has some."""

FOREGROUND = "foreground"
"""The localizer of runs whose head was trained to make a foreground map."""

GraphFormat = Literal["onnx", "torch"]
"""Of the files that ``wsol export`` writes."""

GRAPH_ENDINGS: dict[GraphFormat, str] = {"onnx": ".onnx", "torch": ".pt2"}
"""How their names end."""


def learnt_part(localizer: str) -> str | None:
    """Return the first of a localizer's names that is a student's; None where there is none.

    >>> learnt_part("cam * pixels"), learnt_part("cam")
    ('pixels', None)
    """
    return next((name for name in _parts(localizer) if name in get_args(Student)), None)


def is_learnt(localizer: str) -> bool:
    """Return whether a head of the run makes one of a localizer's maps.

    >>> is_learnt("foreground"), is_learnt("cam * pixels"), is_learnt("cam")
    (True, True, False)
    """
    return learnt_part(localizer) is not None or FOREGROUND in _parts(localizer)


def _parts(localizer: str) -> list[str]:
    return [name.strip() for name in localizer.split("*")]
