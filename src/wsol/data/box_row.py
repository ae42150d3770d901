"""One box as an annotation file states it, and what can be wrong with it."""

import math
from dataclasses import dataclass

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class BoxRow:
    """Hold one box of an annotation file.

    Args:
        image: Name of the image.
        class_name: Name of the class of the object.
        box: `x0 y0 x1 y1` in pixels of the image as displayed.
        line: Line of the file, from 1, where the format has lines.
        item: What the format calls the row, as the start of an error message.

    >>> BoxRow("a.jpg", "crow", (1.0, 2.0, 30.0, 40.0), line=2).line
    2
    """

    image: str
    class_name: str
    box: Box
    line: int | None = None
    item: str = ""


def box_fault(box: Box) -> str | None:
    """Return what is wrong with a box, or None; the right and lower edge of the image is unknown.

    Args:
        box: `x0 y0 x1 y1` in pixels.

    >>> box_fault((0, 0, 5, 5))
    >>> box_fault((5, 0, 2, 5))
    'x1 (2) must be greater than x0 (5)'
    """
    x0, y0, x1, y1 = box
    if not all(map(math.isfinite, box)):
        return f"the box {x0:g} {y0:g} {x1:g} {y1:g} is not finite"
    if min(x0, y0) < 0:
        return f"the box begins outside the image, at {x0:g} {y0:g}"
    if x1 <= x0:
        return f"x1 ({x1:g}) must be greater than x0 ({x0:g})"
    if y1 <= y0:
        return f"y1 ({y1:g}) must be greater than y0 ({y0:g})"
    return None
