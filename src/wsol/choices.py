"""What an option chooses from, apart from the code that does it, which takes long to import."""

from typing import Literal, get_args

Normalization = Literal["minmax", "max", "pas", "ivr", "otsu"]
"""How a score map is scaled to [0, 1], see ``wsol.maps.normalize``."""

Number = Literal["one", "several"]
"""Boxes of a class in a picture: around the largest contour, or of each object of the map."""

Student = Literal["pixels", "psol", "instances"]
"""Localizers that learn in ``wsol distill``, and belong to the runs that it makes alone."""

GraphFormat = Literal["onnx", "torch"]
"""Of the files that ``wsol export`` writes."""

GRAPH_ENDINGS: dict[GraphFormat, str] = {"onnx": ".onnx", "torch": ".pt2"}
"""How their names end."""


def learnt_part(localizer: str) -> str | None:
    """Return the first of a localizer's names that is a student's; None where there is none.

    >>> learnt_part("cam * pixels"), learnt_part("cam")
    ('pixels', None)
    """
    names = (name.strip() for name in localizer.split("*"))
    return next((name for name in names if name in get_args(Student)), None)
